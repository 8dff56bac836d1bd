"""Which experiment would move a claim, from the reasons of its grade; and what the experiment is worth for its cost.

value = 1,000 x chance x gain / (passes + prompt_cost x new prompts)

gain: steps of the grade from weak over plausible and needs_causal_evidence to validated; one step for resolving a
contradiction, a tenth of one for what leaves the grade where it is and makes it firmer. chance: how often experiments
of that kind came out well in this workspace, with one success and one failure added; times 0.8, the power for which
new prompts are counted.
"""

from __future__ import annotations

from typing import NamedTuple

from interp_lab.contracts.base import Grade
from interp_lab.contracts.evidence_plan import ExperimentKind
from interp_lab.evidence.reasons import Reason
from interp_lab.evidence.standing import LADDER

POWER = 0.8
FORMULA = "value = 1000 x chance x gain in grade steps / (passes + prompt_cost x new prompts)"
_FIRMER = 0.1
"""Gain of what leaves the grade where it is."""
_PER = 1000.0


class Remedy(NamedTuple):
    """An experiment for one reason."""

    kind: ExperimentKind
    would_give: Grade
    why: str


_NEW_SET = "A new prompt set of the size named here, inspected and edited afresh, decides what these prompts left open."
_BALANCED = "A new prompt set in which that property does not go with the label tells the two apart."
SEARCH_AFRESH = Remedy(
    "more_prompts",
    "plausible",
    "So few groups could not call even a perfect coordinate in so wide a search; a set of the size named here can.",
)
"""For what a search did not find that could have found nothing."""
_REMEDIES: dict[Reason, Remedy] = {
    Reason.CONFOUND_SOLVES: Remedy("balanced_prompts", "needs_causal_evidence", _BALANCED),
    Reason.INSEPARABLE: Remedy("balanced_prompts", "needs_causal_evidence", _BALANCED),
    Reason.CONFOUNDED: Remedy("balanced_prompts", "needs_causal_evidence", _BALANCED),
    Reason.CONFOUNDS_UNCHECKED: Remedy("balanced_prompts", "needs_causal_evidence", _BALANCED),
    Reason.NOT_TESTED: Remedy("more_prompts", "needs_causal_evidence", _NEW_SET),
    Reason.ROWS_UNKNOWN: Remedy("more_prompts", "needs_causal_evidence", _NEW_SET),
    Reason.CONFIRM_SMALL: Remedy("more_prompts", "needs_causal_evidence", _NEW_SET),
    Reason.CONFIRM_UNCERTAIN: Remedy("more_prompts", "needs_causal_evidence", _NEW_SET),
    Reason.METRIC_CANNOT_MOVE: Remedy(
        "other_measure", "validated", "A difference of logits can move both ways where a probability is at its end."
    ),
    Reason.NO_INTERVENTION: Remedy("edit", "validated", "Editing it beside controls shows whether the model uses it."),
    Reason.FIELDS_MISSING: Remedy("edit", "validated", "Measured here, with controls and side effects."),
    Reason.UNCONTROLLED: Remedy("edit", "validated", "Edited here, beside controls on the same prompts."),
    Reason.STRENGTH_CHOSEN: Remedy("edit", "validated", "Explore prompts choose the strength, the others grade it."),
    Reason.OTHER_PROMPTS: Remedy("edit", "validated", "Edited on these prompts, whose halves are known."),
    Reason.OTHER_CRITERION: Remedy("edit", "validated", "Measured here for this criterion."),
    Reason.EFFECT_UNCONFIRMED: Remedy("more_prompts", "validated", _NEW_SET),
    Reason.EFFECT_LIKE_CONTROL: Remedy("more_prompts", "validated", _NEW_SET),
    Reason.EFFECT_SIGN_UNSTABLE: Remedy("doses", "validated", "The sign may depend on the strength: several tell."),
    Reason.EFFECTS_DISAGREE: Remedy("doses", "validated", "Edits disagree; strengths show which of them saturates."),
    Reason.SIDE_EFFECTS: Remedy(
        "weaker", "validated", "A smaller strength may keep the effect and lose the shift on negatives."
    ),
    Reason.EFFECT_CONFIRMED: Remedy(
        "other_edit", "validated", "An effect that holds for other values put in is not an artefact of one of them."
    ),
}
"""In the order in which they stand in the way: an edit validates nothing before the association is confirmed."""


def remedy_for(grade: Grade, reasons: tuple[str, ...]) -> tuple[Reason, Remedy] | None:
    """Return the first thing in the way of a claim and what would move it; None where nothing of this kind would."""
    if grade == "weak":
        return None
    for reason, remedy in _REMEDIES.items():
        if reason.value in reasons and (reason is not Reason.EFFECT_CONFIRMED or grade == "validated"):
            return reason, remedy
    return None


def gain(before: Grade, after: Grade) -> float:
    """Return the steps from one grade to another; at least what makes a claim firmer is worth."""
    if before == "contradicted":
        return 1.0
    return max(float(LADDER[after] - LADDER[before]), _FIRMER)


def smoothed(successes: int, trials: int) -> float:
    """Return the share of successes with one success and one failure added (Laplace)."""
    return (successes + 1) / (trials + 2)


def value_for_cost(chance: float, steps: float, *, passes: int, new_prompts: int, prompt_cost: float) -> float:
    """Return the expected steps per 1,000 units of cost; a run without cost counts as one."""
    return _PER * chance * steps / max(1.0, passes + prompt_cost * new_prompts)
