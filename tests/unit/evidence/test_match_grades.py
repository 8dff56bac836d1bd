"""What a likeness of two units may be called."""

from __future__ import annotations

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
