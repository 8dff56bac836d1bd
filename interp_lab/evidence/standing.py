"""How a claim stands after several runs, how it came there, and where runs disagree.

The standing follows four rules, the first that applies:

1. `contradicted`: edits in two runs, or in one, each exceed their control on confirm prompts and disagree in sign on
   one behaviour.
2. A later correlation that was looked for on confirm prompts and came out reversed or gone makes the claim `weak`,
   whatever an earlier edit showed: an effect on a behaviour is then no effect of this criterion.
3. Where there were edits, the latest run that edited the unit decides: a correlation neither raises nor lowers that.
   A run that found nothing where it could not have found what an earlier one did is passed over: no answer is no "no".
4. Else the latest correlation decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

from interp_lab.contracts.base import Grade
from interp_lab.contracts.dossier import (
    Contradiction,
    Disagreement,
    DisagreementKind,
    EffectSeen,
    GradeTransition,
    Observation,
)
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.evidence.reasons import Reason

LADDER: dict[Grade, int] = {"weak": 0, "plausible": 1, "needs_causal_evidence": 2, "validated": 3}
"""Grades from the least evidence to the most; `contradicted` is beside it."""
_GONE = frozenset({Reason.SIGN_REVERSED.value, Reason.EFFECT_VANISHED.value})


class Standing(NamedTuple):
    """A grade, the observation that decides it, and the rule."""

    grade: Grade
    decided_by: Observation
    why: str


def standing(observations: Sequence[Observation], every_edit: Sequence[Observation] = ()) -> Standing:
    """Return how a claim stands after these observations of one unit, oldest first; there is at least one.

    `every_edit` holds one observation per kind of edit, where a run made several; `observations` one per run.
    """
    edits = [seen for seen in observations if seen.by == "intervention"]
    correlations = [seen for seen in observations if seen.by == "association"]
    runs = {seen.run for seen in observations}
    if (found := contradiction([seen for seen in every_edit or observations if seen.run in runs])) is not None:
        last = max((found.raised, found.lowered), key=lambda seen: seen.at)
        return Standing("contradicted", last, "edits that each exceed their control disagree in sign")
    if not edits:
        return Standing(correlations[-1].grade, correlations[-1], "the latest correlation; nobody has edited it")
    gone = [seen for seen in correlations if seen.at > edits[-1].at and _GONE & set(seen.reasons)]
    if gone:
        return Standing("weak", gone[-1], "after the edit, the correlation was not there on new confirm prompts")
    decisive = _decisive(edits)
    why = "the latest run that edited it"
    passed = len(edits) - 1 - edits.index(decisive)
    return Standing(decisive.grade, decisive, why if not passed else f"{why} with enough prompts to see the effect")


def _decisive(edits: Sequence[Observation]) -> Observation:
    """Return the latest edit that is an answer to the one before it that is; the first edit has nothing to answer."""
    found = edits[0]
    for later in edits[1:]:
        found = found if _could_not_see(later, found) else later
    return found


def _could_not_see(later: Observation, earlier: Observation) -> bool:
    """Whether a run found no effect and would have missed the one found earlier: it is below what it could detect."""
    if later.effect is None or earlier.effect is None or later.sign != 0 or earlier.sign == 0:
        return False
    return _same_behaviour(later.effect, earlier.effect) and later.effect.detectable > abs(earlier.effect.effect)


def transitions(
    observations: Sequence[Observation], unit: str, every_edit: Sequence[Observation] = ()
) -> Iterator[GradeTransition]:
    """Yield every change of standing of one unit, oldest first; see `standing`."""
    stands: list[Grade] = [standing(observations[:n], every_edit).grade for n in range(1, len(observations) + 1)]
    for n, (before, after) in enumerate(pairwise(stands), start=1):
        if before != after:
            cause = observations[n]
            yield GradeTransition(
                unit=unit,
                before=before,
                after=after,
                direction=_direction(before, after),
                at=cause.at,
                run=cause.run,
                by=cause.by,
                changed=_changed(observations[:n], cause),
            )


def contradiction(observations: Sequence[Observation], unit: str = "") -> Contradiction | None:
    """Return two edits that each exceed their control on confirm prompts and disagree in sign on one behaviour.

    Two opposite correlations are never one: they are two untested hypotheses.
    """
    called = [(seen, seen.effect) for seen in observations if seen.sign != 0 and seen.effect is not None]
    for (one, first), (other, second) in combinations(called, 2):
        if one.sign * other.sign < 0 and _same_behaviour(first, second):
            raised, lowered = (one, other) if one.sign > 0 else (other, one)
            return Contradiction(unit=unit, metric=first.metric, raised=raised, lowered=lowered)
    return None


def disagreements(observations: Sequence[Observation], unit: str) -> Iterator[Disagreement]:
    """Yield what runs do not agree on and do not settle."""
    found = [seen for seen in observations if seen.by == "association" and _is_found(seen)]
    up, down = ([seen for seen in found if seen.sign == sign] for sign in (1, -1))
    if up and down:
        text = (
            f"Higher on positives in {len(up)} runs, lower in {len(down)}: two untested hypotheses, no contradiction."
        )
        yield _disagreement(unit, "opposite_correlations", text, [up[-1], down[-1]])
    graded = {seen.grade: seen for seen in observations if seen.by == "association"}
    if len(graded) > 1:
        text = f"Correlations were graded {', '.join(sorted(graded))} in different runs."
        yield _disagreement(unit, "grades_differ", text, list(graded.values()))
    yes = [seen for seen in observations if seen.effect is not None and seen.sign != 0]
    no = [seen for seen in observations if seen.effect is not None and seen.sign == 0]
    if yes and no:
        text = f"An effect beyond control in {len(yes)} runs, none in {len(no)}."
        yield _disagreement(unit, "effect_not_repeated", text, [yes[-1], no[-1]])


def _disagreement(unit: str, kind: DisagreementKind, text: str, seen: Sequence[Observation]) -> Disagreement:
    who = tuple(dict.fromkeys(one.investigator for one in seen if one.investigator))
    return Disagreement(
        unit=unit, kind=kind, text=text, runs=tuple(dict.fromkeys(one.run for one in seen)), investigators=who
    )


def _is_found(seen: Observation) -> bool:
    q = None if seen.association is None else seen.association.explore_q
    return q is not None and q <= Q_LEVEL


def _same_behaviour(one: EffectSeen, other: EffectSeen) -> bool:
    """Whether two runs watched the same words: some target in common, and none that the other sets against."""
    crossed = set(one.targets) & set(other.alternatives) or set(other.targets) & set(one.alternatives)
    return one.metric == other.metric and bool(set(one.targets) & set(other.targets)) and not crossed


def _direction(before: Grade, after: Grade) -> Literal["rose", "fell", "turned"]:
    if "contradicted" in (before, after):
        return "turned"
    return "rose" if LADDER[after] > LADDER[before] else "fell"


def _changed(earlier: Sequence[Observation], cause: Observation) -> tuple[str, ...]:
    alike = [seen for seen in earlier if seen.by == cause.by]
    if not alike:
        return ("first edit of this unit",) if cause.by == "intervention" else ("first correlation of this unit",)
    last = alike[-1]
    found = [
        word
        for word, before, after in (
            ("prompts", last.dataset_sha256, cause.dataset_sha256),
            ("seed of the split", last.seed, cause.seed),
            ("investigator", last.investigator, cause.investigator),
        )
        if before != after
    ]
    if last.effect is not None and cause.effect is not None:
        found += [
            word
            for word, before, after in (
                ("metric", last.effect.metric, cause.effect.metric),
                ("edit", last.effect.edit, cause.effect.edit),
                ("target words", last.effect.targets, cause.effect.targets),
            )
            if before != after
        ]
    return tuple(found) or ("settings",)
