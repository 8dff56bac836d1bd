# pyright: standard
"""What the search for the fewest units says of effects that stand in for each other, and of effects that add up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.workflows.intervening import smallest as search
from interp_lab.workflows.intervening.smallest import smallest, told


def estimate(effect: float) -> MeanEstimate:
    return clustered_mean([effect - 0.01, effect, effect + 0.01], [0, 1, 2])


def searched(monkeypatch: pytest.MonkeyPatch, n: int, effect: Any) -> tuple[list[str], str]:
    def effects(_: object, sets: list[tuple[int, ...]]) -> list[MeanEstimate]:
        return [estimate(effect(places)) for places in sets]

    monkeypatch.setattr(search._Search, "effects", effects)
    subjects = tuple(SimpleNamespace(key=f"unit {place}") for place in range(n))
    maker: Any = SimpleNamespace(request=SimpleNamespace(smallest=True), subjects=subjects)
    none: Any = None
    kept, facts = smallest(none, maker, none)
    return [subject.key for subject in kept], told(facts)[0]


def test_of_effects_that_add_up_the_report_says_how_little_of_the_whole_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, said = searched(monkeypatch, 8, lambda places: float(len(places)))
    assert len(kept) == 2
    assert "That is 25% of what all did" in said
    assert "a part of what acts, not all of it" in said


def test_of_a_pair_that_stands_in_for_each_other_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, said = searched(monkeypatch, 8, lambda places: 3.0 if {2, 5} <= set(places) else 0.0)
    assert kept == ["unit 2", "unit 5"]
    assert "Explore prompts left out 6 of 8 units" in said
    assert "That is" not in said
