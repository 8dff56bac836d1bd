from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.errors import GroupsLeak, InvalidRequest, ShapeMismatch, SplitImpossible
from interp_lab.evidence.split import split_groups


def _dataset(n_groups: int, seed: int = 0) -> tuple[list[str], list[bool], list[int]]:
    rng = random.Random(seed)
    texts: list[str] = []
    labels: list[bool] = []
    groups: list[int] = []
    for group in range(n_groups):
        kind = group % 3
        for member in range(2 if kind == 2 else rng.randint(1, 4)):
            texts.append(f"group g{group}x member m{member}x")
            labels.append(bool(member % 2) if kind == 2 else kind == 0)
            groups.append(group)
    return texts, labels, groups


@pytest.mark.guarantee("groups-stay-together")
@given(st.integers(18, 60), st.integers(0, 99))
@settings(max_examples=30)
def test_a_group_is_never_divided(n_groups: int, seed: int) -> None:
    texts, labels, groups = _dataset(n_groups, seed)
    split = split_groups(texts, labels, groups, seed=seed)
    assert len({(group, part) for group, part in zip(groups, split.parts, strict=True)}) == n_groups
    assert not split.keys("explore") & split.keys("confirm")


@given(st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_split_follows_content_and_seed_and_not_row_order_or_group_numbers(rng: random.Random) -> None:
    texts, labels, groups = _dataset(40)
    order = list(range(len(texts)))
    rng.shuffle(order)
    base = split_groups(texts, labels, groups, seed=5)
    moved = split_groups(
        [texts[i] for i in order], [labels[i] for i in order], [1000 - groups[i] for i in order], seed=5
    )
    assert moved.parts == tuple(base.parts[i] for i in order)
    assert moved.keys("confirm") == base.keys("confirm")


def test_another_seed_gives_another_split() -> None:
    data = _dataset(40)
    assert split_groups(*data, seed=1).parts != split_groups(*data, seed=2).parts


def test_both_parts_get_their_share_of_groups_of_every_kind_and_of_rows() -> None:
    texts, labels, groups = _dataset(60)
    split = split_groups(texts, labels, groups, seed=3)
    for kind in range(3):
        of_kind = {g: p for g, p in zip(groups, split.parts, strict=True) if g % 3 == kind}
        assert sum(p == "explore" for p in of_kind.values()) == 10
    positives = [sum(labels[i] for i in split.rows(part)) for part in ("explore", "confirm")]
    assert abs(positives[0] - positives[1]) <= 4


def test_shares_decide_the_sizes_of_three_parts() -> None:
    texts, labels, groups = _dataset(120)
    split = split_groups(texts, labels, groups, seed=3, shares={"train": 2, "explore": 1, "confirm": 1})
    sizes = [len(split.keys(part)) for part in ("train", "explore", "confirm")]
    assert sizes == [60, 30, 30]


def _refused(**change: Any) -> dict[str, Any]:
    texts, labels, groups = _dataset(12)
    return {"texts": texts, "labels": labels, "groups": groups, "seed": 0} | change


def test_a_text_in_two_groups_is_refused() -> None:
    with pytest.raises(GroupsLeak, match="row 1"):
        split_groups(["a b", "A  b", "c", "d"], [True, False, True, False], [0, 1, 2, 3], seed=0)


def test_too_few_groups_of_a_label_are_refused() -> None:
    texts = ["one", "two", "three", "four", "five"]
    with pytest.raises(SplitImpossible, match="positive"):
        split_groups(texts, [True, True, False, False, False], [0, 1, 2, 3, 4], seed=0)


def test_lists_of_different_length_and_shares_that_are_not_positive_are_refused() -> None:
    with pytest.raises(ShapeMismatch):
        split_groups(**_refused(labels=[True]))
    with pytest.raises(InvalidRequest):
        split_groups(**_refused(shares={"explore": 1, "confirm": 0}))
