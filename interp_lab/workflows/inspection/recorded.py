# pyright: standard
"""What an inspection of recorded values reads: the prompts that came with them, and the values pooled to prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_evidence import DirectionsEvidence, FeaturesEvidence, StoreEvidence
from interp_lab.contracts.inspect_report import Context, ModelFacts
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.prompt_set import MAX_PROMPTS, PromptSet, checked, refuse_one_sided, relabelled
from interp_lab.errors import InvalidPrompts, InvalidRequest
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.asked import further
from interp_lab.workflows.inspection.record_values import read_record_values
from interp_lab.workflows.inspection.store_values import read_store_values
from interp_lab.workflows.inspection.tables import Pooled, Sparse
from interp_lab.workflows.inspection.values import Values

_LABEL = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True, eq=False)
class Recorded:
    """Everything that was read, before anything is computed."""

    request: InspectRequest
    prompts: PromptSet
    values: Values
    stamps: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def table(self) -> Pooled | Sparse:
        """One row per prompt and one column per coordinate."""
        return self.values.table

    @property
    def lengths(self) -> Sequence[int] | None:
        """Tokens of every prompt, if the rows are tokens."""
        return self.values.lengths

    @property
    def n_tokens(self) -> int:
        """Tokens that were pooled; 0 if the rows are whole prompts."""
        return sum(self.values.lengths or ())

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model."""
        return self.values.facts

    @property
    def unverified(self) -> Sequence[str]:
        """Nothing was read from a model, so nothing of it is unverified."""
        return ()

    @property
    def checked(self) -> Mapping[str, str]:
        """No self-check was made."""
        return {}

    def provenance(self) -> dict[str, str]:
        """Return what the run read, by name."""
        return {"prompts": f"{self.prompts.name} sha256:{self.prompts.sha256}", **self.values.sources}

    def contexts(self, columns: Sequence[int], signs: Mapping[int, int]) -> dict[int, tuple[Context, ...]]:
        """Return the strongest prompts of every column, in the direction of its sign."""
        positive = self.prompts.positive(self.request.threshold)
        return {
            column: self.values.contexts(
                column, sign=signs[column], n=self.request.n_contexts, prompts=self.prompts.prompts, positive=positive
            )
            for column in columns
        }


def open_recorded(request: InspectRequest, settings: Settings) -> Recorded:
    """Return the recorded values that a request names, for its first criterion; see `for_every_criterion`.

    Raises:
        RequestError, NotFoundError: the source is not there, is not of the model, or its prompts cannot be used.
    """
    source = request.evidence
    if source is None or isinstance(source, (FeaturesEvidence, DirectionsEvidence)):
        raise InvalidRequest("No recorded values were named.")
    if isinstance(source, StoreEvidence):
        values = read_store_values(source, request.model.id, request.pooling, settings)
    else:
        values = read_record_values(source, request.model.id, request.pooling, settings)
    return Recorded(request, prompt_set(values.name, values.prompts, request), values)


def for_every_criterion(recorded: Recorded) -> tuple[Recorded, ...]:
    """Return the same values once for every criterion of their request, the first first.

    Raises:
        LabelsUnusable, OneSidedPrompts: a label is not there, or all prompts are on one side.
    """
    values = recorded.values
    others = further(recorded.request)
    return (recorded, *(Recorded(one, prompt_set(values.name, values.prompts, one), values) for one in others))


def prompt_set(name: str, given: Sequence[Mapping[str, Any]], request: InspectRequest) -> PromptSet:
    """Return the prompts of recorded values, positives and negatives as the request says.

    Raises:
        InvalidPrompts: there are too few or too many, or one has no text or no score.
        LabelsUnusable, OneSidedPrompts: the label is not there, or all are on one side.
    """
    if not 2 <= len(given) <= MAX_PROMPTS:
        raise InvalidPrompts(f"{name} has {len(given)} prompts; there must be 2 to {MAX_PROMPTS:,}.")
    unscored = sum(prompt["score"] is None for prompt in given)
    if request.label is None and unscored:
        raise InvalidPrompts(
            f"{unscored} of {len(given)} prompts of {name} have no score.",
            remedy="Say which label makes a prompt a positive: label NAME or NAME=VALUE.",
        )
    blank = next((prompt["id"] for prompt in given if not (prompt["text"] or "").strip()), None)
    if blank is not None:
        raise InvalidPrompts(
            f"Prompt {str(blank)[:80]!r} of {name} has no text, so what words give away cannot be audited.",
            remedy="Record the text of every prompt beside its values.",
        )
    prompts = checked(name, (_prompt(prompt) for prompt in given))
    if request.label is not None:
        prompts = relabelled(prompts, _label(request.label))
    refuse_one_sided(prompts, request.threshold)
    return prompts


def _prompt(given: Mapping[str, Any]) -> ScoredPrompt:
    labels = {
        _name(name): value
        for name, value in given["labels"].items()
        if isinstance(value, str | bool | int | float) and _name(name)
    }
    group = given["group"]
    return ScoredPrompt(
        id=str(given["id"])[:200],
        text=given["text"][:200_000],
        score=0.0 if given["score"] is None else given["score"],
        group=None if group is None else str(group)[:200],
        labels=labels,
    )


def _label(asked: str) -> str:
    name, equals, value = asked.partition("=")
    return f"{_name(name)}{equals}{value}"


def _name(name: str) -> str:
    return _LABEL.sub("_", name.lower()).lstrip("_0123456789")[:64]
