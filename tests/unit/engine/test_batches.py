from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.engine.batches import make_batch, plan_batches
from interp_lab.models.tokens import tokenize

TEXTS = {"a": "the cat sat on the mat", "b": "<bos>dog ran", "c": "it was"}
lengths = st.lists(st.integers(1, 200), max_size=60)


@given(lengths, st.integers(1, 500))
def test_every_prompt_is_in_exactly_one_batch(lengths: list[int], budget: int) -> None:
    assert sorted(i for batch in plan_batches(lengths, budget) for i in batch) == list(range(len(lengths)))


@given(lengths, st.integers(1, 500))
def test_no_padded_batch_is_over_the_budget_unless_it_is_one_prompt(lengths: list[int], budget: int) -> None:
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


@given(lengths, st.integers(1, 500))
def test_longer_prompts_come_first(lengths: list[int], budget: int) -> None:
    order = [lengths[i] for batch in plan_batches(lengths, budget) for i in batch]
    assert order == sorted(lengths, reverse=True)


def test_sorting_by_length_wastes_less_padding_than_the_given_order() -> None:
    mixed = [4, 64] * 50
    padded = sum(max(mixed[i] for i in batch) * len(batch) for batch in plan_batches(mixed, 256))
    assert padded < 1.1 * sum(mixed) < sum(64 * 4 for _ in range(25))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_knows_its_tokens_from_its_padding(load_tiny, side: str) -> None:
    loaded = load_tiny("gpt2")
    prompts = tokenize(loaded, TEXTS)
    batch = make_batch(loaded, prompts, indices=[2, 0], side=side)
    assert batch.indices == (2, 0)
    for row, index in enumerate(batch.indices):
        assert tuple(batch.ids[row][batch.mask[row]].tolist()) == prompts[index].ids
        assert batch.positions[row][batch.mask[row]].tolist() == list(range(len(prompts[index])))
    assert bool(batch.mask[0, -1]) == (side == "left")


def test_special_tokens_and_padding_are_not_kept(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompts = tokenize(loaded, TEXTS)
    batch = make_batch(loaded, prompts)
    assert batch.mask[1].sum() == len(prompts[1])
    assert batch.keep[1].sum() == len(prompts[1]) - 1
    assert not batch.keep[1, 0]
    assert not (batch.keep & ~batch.mask).any()
