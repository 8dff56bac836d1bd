"""Families of units: chains of matches with their weakest link, never more than what was matched."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from interp_lab.methods import shared_features
from interp_lab.methods.shared_features import Chain, families


def test_a_chain_is_as_good_as_its_weakest_link_and_is_no_match_of_its_ends() -> None:
    (found,) = families({(0, 1): 0.01, (1, 2): 0.04})
    assert found.members == (0, 1, 2)
    assert found.weakest == 0.04
    assert found.chains == (Chain(0, 1, 0.01, True), Chain(0, 2, 0.04, False), Chain(1, 2, 0.04, True))


def test_a_better_way_round_counts_and_a_direct_match_stays_one() -> None:
    (found,) = families({(0, 1): 0.05, (1, 2): 0.01, (0, 2): 0.02})
    assert found.weakest == 0.02
    assert Chain(0, 1, 0.02, True) in found.chains


def test_units_without_a_chain_between_them_are_of_different_families_and_none_gives_none() -> None:
    found = families({(4, 5): 0.03, (0, 1): 0.01, (1, 2): 0.02})
    assert [family.members for family in found] == [(0, 1, 2), (4, 5)]
    assert families({}) == ()


@pytest.mark.parametrize("n", [2, 7])
def test_a_long_chain_holds_every_two_of_its_members(n: int) -> None:
    (found,) = families({(i, i + 1): 0.001 * (i + 1) for i in range(n)})
    assert len(found.chains) == (n + 1) * n // 2
    assert {chain.weakest for chain in found.chains if chain.right == n} == {0.001 * n}


def test_each_member_of_a_large_family_is_looked_from_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(start: int, near: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
        looked.append(start)
        return reached(start, near)

    reached = shared_features._reached  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(shared_features, "_reached", counted)
    (found,) = families({(0, i): 0.01 for i in range(1, 40)})
    assert len(found.chains) == 40 * 39 // 2
    assert len(looked) <= 40
