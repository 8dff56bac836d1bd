from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interp_lab.corpus.dice import Dice


def test_the_first_choices_of_a_seed_never_change() -> None:
    dice = Dice(7, "example")
    assert [dice.integer(0, 99) for _ in range(8)] == [33, 2, 62, 44, 75, 45, 10, 73]


@given(st.integers(0, 2**32 - 1), st.text(max_size=5))
def test_the_same_seed_and_name_choose_the_same(seed: int, name: str) -> None:
    first, second = Dice(seed, name), Dice(seed, name)
    assert [first.unit() for _ in range(5)] == [second.unit() for _ in range(5)]


def test_another_name_chooses_differently() -> None:
    assert [Dice(1, "a").unit() for _ in range(3)] != [Dice(1, "b").unit() for _ in range(3)]


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(0, 1000))
def test_whole_numbers_stay_in_their_range(low: int, span: int, seed: int) -> None:
    dice = Dice(seed)
    assert all(low <= dice.integer(low, low + span) <= low + span for _ in range(20))


@given(st.lists(st.integers(), unique=True, max_size=12), st.integers(0, 15), st.integers(0, 1000))
def test_a_sample_has_distinct_members_of_the_pool(pool: list[int], count: int, seed: int) -> None:
    chosen = Dice(seed).sample(pool, count)
    assert len(chosen) == min(count, len(pool))
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(pool)


def test_weights_set_the_shares() -> None:
    dice = Dice(3)
    drawn = [dice.weighted(("a", "b", "never"), (3, 1, 0)) for _ in range(4000)]
    assert 0.72 < drawn.count("a") / 4000 < 0.78
    assert "never" not in drawn


def test_forking_leaves_the_parent_where_it_was() -> None:
    with_fork, without = Dice(5), Dice(5)
    with_fork.fork("child").unit()
    assert with_fork.unit() == without.unit()
