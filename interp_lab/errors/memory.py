"""What can be wrong with asking what a workspace remembers, and with saying beforehand what a run will show."""

from __future__ import annotations

from interp_lab.errors.base import NotFoundError, OperationError, RequestError


class NoDossier(NotFoundError):
    """The workspace knows nothing of that model and criterion."""

    code = "no_dossier"
    default_remedy = "Call dossier without model and criterion to see what there is."


class UnknownHypothesis(NotFoundError):
    """No hypothesis of that id was registered in this workspace."""

    code = "unknown_hypothesis"
    default_remedy = (
        "Give the id that register_hypothesis returned in this workspace; the dossier lists those of a question."
    )


class HypothesisMismatch(RequestError):
    """The run is not the one that the hypothesis was registered for."""

    code = "hypothesis_mismatch"
    default_remedy = "Run it with the unit, metric, prompts, threshold and seed that were registered, or register anew."


class RegistryBroken(OperationError):
    """The registry of hypotheses is not what was written."""

    code = "registry_broken"
    default_remedy = (
        "Somebody changed .interp-lab/hypotheses.jsonl; restore it from a backup, nothing is confirmed on it."
    )


class DifferentQuestions(RequestError):
    """The two reports answer different questions."""

    code = "different_questions"
    default_remedy = "Compare reports of one model and criterion, or set allow_different and read what differs first."
