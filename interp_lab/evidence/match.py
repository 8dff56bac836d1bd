"""From the numbers of a pair of units to its grade.

`needs_causal_evidence`: on confirm rows q under the level, an interval without 0, the sign of discovery. `validated`:
the same, and interventions on both sides that exceed their controls and agree in sign; where pairs are chosen by
effects, that is the test itself, and side effects must be within the bound. `contradicted`: they disagree.
`plausible`: chosen, and there were no confirm rows. `weak`: all else. Likeness alone never goes further.
"""

from __future__ import annotations

from dataclasses import dataclass

from interp_lab.evidence.grade import Q_LEVEL, Grading
from interp_lab.evidence.reasons import Reason


@dataclass(frozen=True, slots=True)
class MatchEvidence:
    """What is known of one pair."""

    explore_sign: int
    """Sign of the similarity that chose it."""
    low: float
    high: float
    """Interval of the similarity on confirm rows."""
    q: float
    """Over every pair tested there."""
    left_effect: float | None = None
    right_effect: float | None = None
    """Measured effects that exceed their controls on confirm rows; None where there is none."""
    like_control: bool = False
    """Effects were measured, and one of them is no larger than that of random edits."""
    side_effects: bool = False
    """One of the edits changes negatives more than the bound."""


def grade_match(found: MatchEvidence | None) -> Grading:
    """Return the grade of a pair; None for one that has no confirm rows."""
    if found is None:
        return Grading("plausible", (Reason.NOT_TESTED,))
    sign = (found.low > 0) - (found.high < 0)
    weak = _weakness(found, sign)
    if weak is not None:
        return Grading("weak", (weak,))
    if found.side_effects:
        return Grading("needs_causal_evidence", (Reason.MATCH_CONFIRMED, Reason.SIDE_EFFECTS))
    if found.left_effect is None or found.right_effect is None:
        return Grading("needs_causal_evidence", (Reason.MATCH_CONFIRMED, Reason.NO_INTERVENTION))
    if found.left_effect * found.right_effect * sign > 0:
        return Grading("validated", (Reason.MATCH_CONFIRMED, Reason.EFFECTS_AGREE))
    return Grading("contradicted", (Reason.MATCH_CONFIRMED, Reason.EFFECTS_DISAGREE))


def _weakness(found: MatchEvidence, sign: int) -> Reason | None:
    if sign and sign != found.explore_sign:
        return Reason.MATCH_SIGN_REVERSED
    if found.q > Q_LEVEL or not sign:
        return Reason.MATCH_LIKE_CHANCE
    return Reason.EFFECT_LIKE_CONTROL if found.like_control else None
