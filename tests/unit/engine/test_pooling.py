from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from interp_lab.engine.pooling import pool, poolable
from interp_lab.errors import InvalidRequest, PromptNotPoolable
from interp_lab.models.tokens import TokenizedPrompt

BY_HAND = {"max": lambda rows: rows.max(0), "mean": lambda rows: rows.mean(0), "last": lambda rows: rows[-1]}


def prompt(name: str, special: str, offsets: tuple[tuple[int, int], ...] | None = None) -> TokenizedPrompt:
    marks = tuple(mark == "s" for mark in special)
    spans = offsets or tuple((i, i + 1) for i in range(len(marks)))
    return TokenizedPrompt(name, "x" * len(marks), tuple(range(len(marks))), marks, ("x",) * len(marks), spans)


masks = st.lists(st.lists(st.booleans(), min_size=5, max_size=5).filter(any), min_size=1, max_size=4)


@pytest.mark.parametrize("pooling", BY_HAND)
@given(masks=masks, seed=st.integers(0, 99))
def test_pooling_is_what_a_loop_over_the_kept_tokens_gives(pooling: str, masks: list[list[bool]], seed: int) -> None:
    values = torch.randn(len(masks), 5, 3, generator=torch.Generator().manual_seed(seed))
    keep = torch.tensor(masks)
    pooled = pool(values, keep, pooling)
    expected = np.stack([BY_HAND[pooling](values[row][keep[row]].numpy()) for row in range(len(masks))])
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "mean", "last", "span"])
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_what_stands_at_ignored_tokens_has_no_influence(pooling: str, garbage: float) -> None:
    values, keep = torch.randn(2, 4, 3), torch.tensor([[False, True, True, False], [True, False, False, False]])
    dirty = values.masked_fill(~keep.unsqueeze(-1), garbage)
    assert torch.equal(pool(values, keep, pooling), pool(dirty, keep, pooling))


def test_a_value_that_is_not_finite_at_a_kept_token_is_not_hidden() -> None:
    values = torch.zeros(1, 2, 1)
    values[0, 1, 0] = torch.nan
    for pooling in ("max", "mean", "last"):
        assert pool(values, torch.tensor([[True, True]]), pooling).isnan().all()


def test_half_precision_is_pooled_in_float32() -> None:
    values = torch.full((1, 4096, 1), 1.0, dtype=torch.bfloat16)
    pooled = pool(values, torch.ones(1, 4096, dtype=torch.bool), "mean")
    assert (pooled.dtype, pooled.item()) == (torch.float32, 1.0)


def test_shapes_in_signatures_are_checked_at_run_time_in_tests() -> None:
    with pytest.raises(TypeCheckError):
        pool(torch.zeros(2, 4, 3), torch.ones(2, 5, dtype=torch.bool), "max")


def test_special_tokens_are_left_out() -> None:
    assert poolable([prompt("a", "s..s")], "max", None) == ((False, True, True, False),)


def test_span_pooling_reads_the_spans_only() -> None:
    assert poolable([prompt("a", "s...")], "span", [[(0, 2)]]) == ((False, True, False, False),)
    assert poolable([prompt("a", "s...")], "span", [[(0, 2), (3, 4)]]) == ((False, True, False, True),)


@pytest.mark.parametrize(
    ("pooling", "marks", "spans"),
    [("max", "ss", []), ("span", "...", []), ("span", "s..", [(0, 1)]), ("last", "", [])],
)
def test_a_prompt_without_a_token_to_pool_is_refused_by_its_id(pooling: str, marks: str, spans) -> None:
    with pytest.raises(PromptNotPoolable, match="in: odd"):
        poolable([prompt("fine", "..."), prompt("odd", marks)], pooling, [[(0, 2)], spans])


def test_a_span_needs_a_tokenizer_that_tells_where_tokens_are() -> None:
    blind = TokenizedPrompt("a", "xy", (1, 2), (False, False), ("x", "y"), None)
    with pytest.raises(InvalidRequest, match="which characters"):
        poolable([blind], "span", [[(0, 1)]])
