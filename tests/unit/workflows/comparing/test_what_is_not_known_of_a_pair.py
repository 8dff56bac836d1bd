# pyright: standard
"""What was not measured of a pair is absent in its report: never a correlation of 0, never a q of 0."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from interp_lab.contracts.compare import Match, Transfer
from interp_lab.workflows.comparing.pairs import Pair
from interp_lab.workflows.comparing.report import _carried, _responses

PAIR = Pair(0, 1, "one_to_one", 0.5)


def match(q_value: float | None) -> Match:
    carried = Transfer(
        held_out_r2=0.9,
        similarity=0.8,
        interval=(0.7, 0.9),
        p_value=0.5,
        q_value=q_value,
        control=0.0,
        closest_control=0.9,
        n_controls=40,
    )
    return Match.model_construct(transfer=carried)


@pytest.mark.parametrize(("q_value", "said"), [(None, "none"), (0.5, "none"), (0.02, "1 (r up to 0.80)")])
def test_a_carried_direction_counts_only_with_a_known_q_under_the_level(q_value: float | None, said: str) -> None:
    assert f"carried to the right model {said} act" in _carried([match(q_value)])


def test_responses_that_no_prompt_told_are_absent_not_zero() -> None:
    def acted(responses: dict[Pair, float]) -> Any:
        return SimpleNamespace(responses=responses)

    assert _responses(acted({}), PAIR) is None
    assert _responses(acted({PAIR: 0.12345}), PAIR) == 0.1235
    assert _responses(None, PAIR) is None
