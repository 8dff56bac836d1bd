from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.engine.packing import lay_out, pack_rows, packing_check, plan_passes
from interp_lab.models.load import load_model
from interp_lab.models.resolve import ModelSource

lengths = st.lists(st.integers(1, 40), max_size=60)


@given(lengths, st.integers(1, 50))
def test_every_piece_stands_in_one_row_and_rows_are_not_overfull(lengths: list[int], row: int) -> None:
    rows = pack_rows(lengths, row)
    assert sorted(index for members in rows for index in members) == list(range(len(lengths)))
    assert all(len(members) == 1 or sum(lengths[i] for i in members) <= row for members in rows)


@given(lengths, st.integers(1, 200), st.none() | st.integers(1, 50))
def test_no_pass_is_over_the_budget_unless_it_is_one_row(lengths: list[int], budget: int, row: int | None) -> None:
    passes = plan_passes(lengths, budget, row)
    assert sorted(i for rows in passes for members in rows for i in members) == list(range(len(lengths)))
    for rows in passes:
        width = max(sum(lengths[i] for i in members) for members in rows)
        assert len(rows) == 1 or width * len(rows) <= budget


def test_packing_short_texts_wastes_less_than_padding_them_by_length() -> None:
    lengths = [3, 50, 7, 21, 4, 35] * 20
    packed = sum(len(rows) * max(sum(lengths[i] for i in m) for m in rows) for rows in plan_passes(lengths, 256, 64))
    alone = 64 * len(lengths)
    assert packed < 1.1 * sum(lengths) < alone


def test_a_rectangle_lists_the_tokens_of_its_pieces_in_order(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    ids = [(5, 6, 7), (8,), (9, 10)]
    rectangle = lay_out(loaded, ids, ((1, 2), (0,)), packed=True)
    assert rectangle.batch.indices == (1, 2, 0)
    assert rectangle.batch.ids.flatten()[rectangle.flat].tolist() == [8, 9, 10, 5, 6, 7]
    assert rectangle.batch.positions.flatten()[rectangle.flat].tolist() == [0, 0, 1, 0, 1, 2]


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "mistral", "gemma2", "gpt_neo"])
def test_packing_is_proven_on_models_that_tell_texts_apart(load_tiny, name: str) -> None:
    check = packing_check(load_tiny(name))
    assert check.exact
    assert check.error < 1e-5
    assert not check.leaks


@pytest.mark.parametrize("name", ["opt", "bert", "roberta"])
def test_packing_is_refused_on_models_that_do_not(load_tiny, name: str) -> None:
    check = packing_check(load_tiny(name))
    assert not check.exact
    assert check.leaks


def test_eager_attention_that_gets_no_mask_is_caught(tiny_models, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")))
    loaded.model.set_attn_implementation("eager")
    assert packing_check(loaded).exact
    monkeypatch.setattr("transformers.models.gpt2.modeling_gpt2.create_causal_mask", lambda **_: None)
    check = packing_check(loaded)
    assert not check.exact
    assert check.leaks


def test_half_precision_weights_are_judged_by_what_leaks(tiny_models) -> None:
    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")), dtype="bfloat16")
    check = packing_check(loaded)
    assert check.exact
    assert check.error > 1e-5
    assert loaded.dtype == torch.bfloat16
