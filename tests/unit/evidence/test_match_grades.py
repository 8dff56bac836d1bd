"""What a likeness of two units may be called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interp_lab.contracts.base import Grade
from interp_lab.evidence.match import MatchEvidence, grade_match

MIRRORED = {"explore_sign": -1, "low": -0.9, "high": -0.4}


def found(**options: float) -> MatchEvidence:
    return MatchEvidence(**{"explore_sign": 1, "low": 0.4, "high": 0.9, "q": 0.01, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("evidence", "grade", "reason"),
    [
        (None, "plausible", "not_tested_on_confirm"),
        (found(q=0.06), "weak", "match_like_chance"),
        (found(low=-0.1), "weak", "match_like_chance"),
        (found(explore_sign=-1), "weak", "match_sign_reversed"),
        (found(), "needs_causal_evidence", "no_intervention"),
        (found(left_effect=1.0), "needs_causal_evidence", "no_intervention"),
        (found(left_effect=1.0, right_effect=0.5), "validated", "effects_agree"),
        (found(left_effect=1.0, right_effect=-0.5), "contradicted", "effects_disagree"),
        (found(**MIRRORED, left_effect=1.0, right_effect=-0.5), "validated", "effects_agree"),
        (
            found(**MIRRORED, left_effect=1, right_effect=1),
            "contradicted",
            "effects_disagree",
        ),
    ],
)
def test_likeness_alone_never_validates_and_effects_decide(
    evidence: MatchEvidence | None, grade: Grade, reason: str
) -> None:
    graded = grade_match(evidence)
    assert graded.grade == grade
    assert reason in {each.value for each in graded.reasons}


def test_a_match_by_effects_that_are_like_random_edits_is_weak_and_one_with_side_effects_is_not_validated() -> None:
    moved = MatchEvidence(explore_sign=1, low=0.8, high=0.9, q=0.01, left_effect=1.0, right_effect=1.0)
    assert grade_match(moved).grade == "validated"
    assert grade_match(replace(moved, like_control=True)).grade == "weak"
    beside = grade_match(replace(moved, side_effects=True))
    assert beside.grade == "needs_causal_evidence"
    assert "side_effects" in [reason.value for reason in beside.reasons]
