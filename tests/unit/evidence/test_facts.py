from __future__ import annotations

import pytest

from interp_lab.errors import InvalidRequest, NonFiniteInput
from interp_lab.evidence.claim import Asserted, Claim, Imported, Measured, Source, Subject
from interp_lab.evidence.facts import Effect, Reading
from interp_lab.evidence.reasons import NEXT_STEPS, Reason

ROWS = frozenset({"a"})


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_reading_with_nan_is_refused(position: int) -> None:
    numbers = [0.7, 0.6, 0.8, 0.01]
    numbers[position] = float("nan")
    with pytest.raises(NonFiniteInput):
        Reading(*numbers, 10, 10, ROWS)


def test_an_effect_outside_its_own_interval_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="outside its own interval"):
        Effect(0.9, 0.1, 0.5, 0.01, 10, ROWS)


@pytest.mark.parametrize(
    "source", [Measured("", "1", (("x", "y"),)), Measured("r", "1", ()), Imported("f", ""), Asserted("")]
)
def test_a_source_that_names_nothing_is_refused(source: Source) -> None:
    with pytest.raises(InvalidRequest, match="must name"):
        Claim(Subject("m", None, "resid_post.0", None, 0), "c", "s", source)


def test_a_measured_claim_without_numbers_is_weak() -> None:
    claim = Claim(Subject("m", None, "resid_post.0", None, 0), "c", "s", Measured("r", "1", (("x", "y"),)))
    assert claim.grading.grade == "weak"


def test_reason_codes_are_unique_and_each_says_what_it_means() -> None:
    assert len({str(reason) for reason in Reason}) == len(Reason)
    assert all(reason.meaning.endswith(".") for reason in Reason)
    assert all(step.why.endswith(".") for step in NEXT_STEPS.values())
