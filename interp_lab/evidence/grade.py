"""From numbers to a grade, with the reasons and the calls that would move it.

Association. Ranking and q over all latents come from explore rows, the statistic that is graded from confirm rows.
`needs_causal_evidence`: q under the level on both, same sign, confirm interval without 0.5, also after control for
surface properties, and no surface property solves the dataset. `plausible`: found on explore rows, and confirm rows
are missing, too few or undecided, or a confound is in the way. `weak`: all else. Association alone ends there.

Effects. `validated`: such an association, and an intervention that on confirm rows excludes its control, with q under
the level, the sign of its discovery and side effects within the stated bound. `contradicted`: interventions disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from interp_lab.contracts.base import Grade
from interp_lab.errors import DiscoveryRowsReused
from interp_lab.evidence.facts import AssociationEvidence, Effect, InterventionEvidence, Reading
from interp_lab.evidence.reasons import NEXT_STEPS, NextStep, Reason

Q_LEVEL = 0.05
"""False discovery rate that explore and confirm rows must each meet."""
LEAST_CONFIRM_GROUPS = 10
"""Independent groups of each label without which confirm rows decide nothing."""


@dataclass(frozen=True, slots=True)
class Grading:
    """A grade, why, and what would move it."""

    grade: Grade
    reasons: tuple[Reason, ...]

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """The calls that could move this grade, in the order of the reasons, each once."""
        return tuple(dict.fromkeys(NEXT_STEPS[reason] for reason in self.reasons if reason in NEXT_STEPS))


def grade(
    association: AssociationEvidence,
    interventions: Sequence[InterventionEvidence] = (),
    *,
    others: Sequence[AssociationEvidence] = (),
) -> Grading:
    """Return the grade of one claim from its association and whatever interventions there are.

    `others` are associations of the same claim in other runs; an opposite sign among them is named and settles nothing.

    Raises:
        DiscoveryRowsReused: a confirm number rests on a group that was used for discovery.
    """
    _refuse_discovery_rows(association, interventions)
    base, reasons = _grade_association(association)
    reasons += _opposite_correlations(association, others)
    graded = [item for item in interventions if item.provenance != "asserted"]
    if not graded:
        untested = [Reason.NO_INTERVENTION] if base != "weak" else []
        return Grading(base, (*reasons, *untested))
    if _effects_disagree(graded):
        return Grading("contradicted", (*reasons, Reason.EFFECTS_DISAGREE))
    problems = [list(effect_problems(item)) for item in graded]
    if all(problems):
        return Grading(base, (*reasons, *dict.fromkeys(reason for found in problems for reason in found)))
    validated = base == "needs_causal_evidence"
    return Grading("validated" if validated else base, (*reasons, Reason.EFFECT_CONFIRMED))


def too_few_to_confirm(fewest: int) -> tuple[str, ...]:
    """Return what must be known of a set whose scarcer label has that many independent groups; nothing if they do."""
    if fewest >= 2 * LEAST_CONFIRM_GROUPS:
        return ()
    return (
        f"Near-duplicates, pairs and named groups joined, one label has only {fewest} independent groups: "
        f"{2 * LEAST_CONFIRM_GROUPS} of each are needed before anything can be confirmed.",
    )


def refuse_discovery_rows(discovery: frozenset[str], grading: frozenset[str]) -> None:
    """Refuse rows for grading if a group among them was used for discovery.

    Raises:
        DiscoveryRowsReused: the two share a group.
    """
    shared = discovery & grading
    if shared:
        raise DiscoveryRowsReused(
            f"{len(shared)} of {len(grading)} groups that would grade the claim were used to discover it."
        )


def _refuse_discovery_rows(association: AssociationEvidence, interventions: Sequence[InterventionEvidence]) -> None:
    found = association.explore.rows
    if association.confirm is not None:
        refuse_discovery_rows(found, association.confirm.rows)
    for item in interventions:
        if item.confirm is not None:
            refuse_discovery_rows(found | item.explore.rows, item.confirm.rows)


def _grade_association(association: AssociationEvidence) -> tuple[Grade, list[Reason]]:
    if association.provenance == "asserted":
        return "weak", [Reason.ASSERTED]
    if association.explore.q > Q_LEVEL or association.explore.sign == 0:
        return "weak", [Reason.NOT_FOUND]
    doubts = list(_confirm_doubts(association.explore, association.confirm))
    if {Reason.SIGN_REVERSED, Reason.EFFECT_VANISHED} & set(doubts):
        return "weak", doubts
    confirmed = [] if doubts else [Reason.CONFIRMED]
    doubts += _confound_doubts(association)
    words = [Reason.WORDS_SOLVE] if association.words_solve else []
    return ("plausible" if doubts else "needs_causal_evidence"), [*confirmed, *doubts, *words]


def _confirm_doubts(explore: Reading, confirm: Reading | None) -> Iterator[Reason]:
    if confirm is None:
        yield Reason.NOT_TESTED
        return
    low, high = _oriented(confirm.low, confirm.high, explore.sign)
    if high < 0.5:
        yield Reason.SIGN_REVERSED
    elif low <= 0.5 and high < 0.5 + abs(explore.auroc - 0.5) / 2:
        yield Reason.EFFECT_VANISHED
    elif low <= 0.5 or confirm.q > Q_LEVEL:
        yield Reason.CONFIRM_UNCERTAIN
    if min(confirm.n_positive_groups, confirm.n_negative_groups) < LEAST_CONFIRM_GROUPS:
        yield Reason.CONFIRM_SMALL
    if not confirm.rows or not explore.rows:
        yield Reason.ROWS_UNKNOWN


def _confound_doubts(association: AssociationEvidence) -> Iterator[Reason]:
    if association.solved_by:
        yield Reason.CONFOUND_SOLVES
    adjusted = association.adjusted
    if adjusted is None:
        yield Reason.CONFOUNDS_UNCHECKED
    elif not adjusted.separable:
        yield Reason.INSEPARABLE
    elif _oriented(adjusted.low, adjusted.high, association.explore.sign)[0] <= 0.5:
        yield Reason.CONFOUNDED


def _opposite_correlations(association: AssociationEvidence, others: Sequence[AssociationEvidence]) -> list[Reason]:
    opposite = any(
        other.provenance != "asserted"
        and other.explore.q <= Q_LEVEL
        and other.explore.sign * association.explore.sign < 0
        for other in others
    )
    return [Reason.OPPOSITE_CORRELATIONS] if opposite else []


def _effects_disagree(interventions: Sequence[InterventionEvidence]) -> bool:
    effects = [
        e for item in interventions if item.metric_can_move and not item.flaws for e in (item.explore, item.confirm)
    ]
    return {1, -1} <= {effect.sign for effect in effects if effect is not None and _is_called(effect)}


def effect_problems(item: InterventionEvidence) -> Iterator[Reason]:
    """Yield what keeps one intervention from validating; nothing for one that moves its unit beyond its control."""
    if item.flaws:
        yield from item.flaws
        return
    if not item.metric_can_move:
        yield Reason.METRIC_CANNOT_MOVE
    confirm = item.confirm
    if confirm is None:
        yield Reason.EFFECT_UNCONFIRMED
        return
    if confirm.q is None or item.side_effect is None or not confirm.rows:
        yield Reason.FIELDS_MISSING
        return
    if confirm.sign == 0 or not _is_called(confirm):
        yield Reason.EFFECT_LIKE_CONTROL
    elif confirm.sign * item.explore.difference <= 0:
        yield Reason.EFFECT_SIGN_UNSTABLE
    if item.side_effect > item.side_effect_bound:
        yield Reason.SIDE_EFFECTS


def _is_called(effect: Effect) -> bool:
    return effect.q is not None and effect.q <= Q_LEVEL


def _oriented(low: float, high: float, sign: int) -> tuple[float, float]:
    return (low, high) if sign >= 0 else (1 - high, 1 - low)
