"""The sentence about a steering run: what changed, beside what, and which of two numbers is which."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from interp_lab.workflows.steering.report import headline


def said(
    *,
    gain: float,
    beyond: tuple[float, float],
    over: float,
    instruction: tuple[float, float],
    unseen: bool = False,
) -> str:
    intervals = [SimpleNamespace(low=low, high=high) for low, high in (beyond, instruction)]
    found: Any = SimpleNamespace(
        gain=gain,
        difference_interval=intervals[0],
        over_instruction=over,
        over_instruction_interval=intervals[1],
    )
    report: Any = SimpleNamespace(
        scorer="target_share",
        beyond=found,
        vector="v" * 64,
        criterion="c",
        strength=1.0,
        address="resid_post.2",
        n_groups=12,
        grade="weak",
        targets_unseen=unseen,
    )
    return headline(report)


def test_what_is_like_chance_is_said_with_its_own_gain_and_with_the_difference() -> None:
    text = said(gain=0.03, beyond=(-0.01, 0.05), over=-0.087, instruction=(-0.15, -0.02))
    assert "by 0.03, not told apart from random directions of equal length (difference [-0.01, 0.05])" in text
    assert "less than an instruction in the prompt by 0.087 [0.02, 0.15]" in text


@pytest.mark.parametrize(
    ("over", "interval", "words"),
    [
        (0.2, (0.1, 0.3), "more than an instruction in the prompt by 0.2 [0.1, 0.3]"),
        (0.05, (-0.1, 0.2), "not told apart from an instruction in the prompt (+0.05 [-0.1, 0.2])"),
    ],
)
def test_the_instruction_is_named_on_the_right_side(over: float, interval: tuple[float, float], words: str) -> None:
    text = said(gain=0.3, beyond=(0.1, 0.4), over=over, instruction=interval)
    assert words in text
    assert "beyond random directions of equal length by [0.1, 0.4]" in text


def test_arms_without_any_target_word_are_said_to_test_nothing() -> None:
    text = said(gain=0.0, beyond=(0.0, 0.0), over=0.0, instruction=(0.0, 0.0), unseen=True)
    assert (
        "steers towards 'c' was not tested: at strength 1 none of the target words is in any text of 12 held-out groups"
        in text
    )
    assert "not told apart" not in text
