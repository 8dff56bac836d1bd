from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.stream import StreamSettings, default_plan, stream
from interp_lab.engine.sweep import PassPlan, sweep
from interp_lab.errors import HookPointUnavailable, InvalidRequest, OutOfMemory
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address

TEXTS = {f"t{i}": "the cat sat on the mat and the dog ran to the house"[: 3 + 4 * i] for i in range(9)}
PLACES = [Address("resid_post", 1), Address("mlp_act", 0)]


class Stopped(Exception):
    pass


def ids_of(loaded: LoadedModel) -> list[tuple[int, ...]]:
    return [prompt.ids for prompt in tokenize(loaded, TEXTS)]


def alone(loaded: LoadedModel, address: Address) -> list[torch.Tensor]:
    prompts = tokenize(loaded, TEXTS)
    with capture(loaded, [address]) as run:
        return [run(make_batch(loaded, [prompt]))[address][0] for prompt in prompts]


def by_piece(loaded: LoadedModel, plan: PassPlan, address: Address, **options) -> list[torch.Tensor]:
    ids = ids_of(loaded)
    found: dict[int, torch.Tensor] = {}
    for swept in sweep(loaded, ids, PLACES, plan, **options):
        parts = swept.values[address].split([len(ids[i]) for i in swept.pieces])
        found |= dict(zip(swept.pieces, parts, strict=True))
    return [found[i] for i in range(len(ids))]


@pytest.mark.parametrize("plan", [PassPlan(64, 16), PassPlan(1000, 64), PassPlan(64, None), PassPlan(1, None)])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_sweep_equals_texts_run_alone(load_tiny, plan: PassPlan, name: str) -> None:
    loaded = load_tiny(name)
    for address in PLACES:
        for found, expected in zip(by_piece(loaded, plan, address), alone(loaded, address), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_texts_packed_where_the_model_cannot_tell_them_apart_come_out_wrong(load_tiny) -> None:
    loaded = load_tiny("opt")
    pairs = zip(by_piece(loaded, PassPlan(64, 64), PLACES[0]), alone(loaded, PLACES[0]), strict=True)
    assert not all(torch.allclose(found, expected, atol=1e-3) for found, expected in pairs)


@pytest.fixture
def small_memory(load_tiny, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """A model whose passes fail as a processor's do when they hold more than 40 tokens."""
    loaded = load_tiny("gpt2")
    forward = loaded.model.transformer.wte.forward

    def limited(ids: torch.Tensor) -> torch.Tensor:
        if ids.numel() > 40:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return forward(ids)

    monkeypatch.setattr(loaded.model.transformer.wte, "forward", limited)
    return loaded


@pytest.mark.parametrize("row", [64, None])
def test_a_pass_that_runs_out_of_memory_is_done_in_halves(small_memory: LoadedModel, row: int | None) -> None:
    halved: list[int] = []
    found = by_piece(small_memory, PassPlan(128, row), PLACES[0], on_halved=halved.append)
    for ours, expected in zip(found, alone(small_memory, PLACES[0]), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert halved


def test_a_single_text_that_does_not_fit_is_refused_with_its_size(small_memory: LoadedModel) -> None:
    with pytest.raises(OutOfMemory, match="single text of 41 tokens"):
        list(sweep(small_memory, [tuple(range(41))], PLACES, PassPlan(64, None)))


def test_another_failure_of_the_model_is_not_mistaken_for_a_lack_of_memory(load_tiny) -> None:
    with pytest.raises(IndexError):
        list(sweep(load_tiny("gpt2"), [(10**6,)], PLACES, PassPlan(64, None)))


def test_a_sweep_can_be_stopped_between_blocks_and_leaves_no_hook(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    before = sum(len(module._forward_pre_hooks) for module in loaded.model.modules())
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        list(sweep(loaded, ids_of(loaded), PLACES, PassPlan(10_000, None), check=check))
    assert len(calls) == 2
    assert sum(len(module._forward_pre_hooks) for module in loaded.model.modules()) == before


def test_what_has_no_row_per_token_is_refused(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    with pytest.raises(HookPointUnavailable, match="not one row"):
        list(sweep(loaded, ids_of(loaded), [Address("attn_probs", 0)], PassPlan(64, None)))


def test_the_fused_activation_is_used_inside_the_block_only_and_computes_the_same(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    expected = alone(loaded, PLACES[1])
    with fused_activations(loaded) as fused:
        assert fused.n_modules == len(loaded.blocks)
        assert fused.error < 2e-6
        inside = alone(loaded, PLACES[1])
    torch.testing.assert_close(inside, expected, rtol=1e-5, atol=1e-6)
    assert not any("forward" in vars(module) for module in loaded.model.modules())


def test_other_activations_are_left_alone(load_tiny) -> None:
    with fused_activations(load_tiny("llama")) as fused:
        assert fused.n_modules == 0


def rows(batches: Iterator[dict[Address, torch.Tensor]], address: Address) -> torch.Tensor:
    return torch.cat([batch[address] for batch in batches])


@pytest.mark.parametrize("buffer_rows", [0, 16, 10_000])
def test_a_stream_gives_every_row_once_in_batches_of_the_asked_size(load_tiny, buffer_rows: int) -> None:
    loaded = load_tiny("gpt2")
    settings = StreamSettings(8, buffer_rows, read_tokens=30)
    batches = list(stream(loaded, ids_of(loaded), PLACES, settings))
    assert {len(batch[PLACES[0]]) for batch in batches[:-1]} == {8}
    found = rows(iter(batches), PLACES[0])
    expected = torch.cat(alone(loaded, PLACES[0]))
    torch.testing.assert_close(found.sort(dim=0).values, expected.sort(dim=0).values, rtol=1e-4, atol=1e-5)


def test_a_stream_is_the_same_for_a_seed_and_another_for_another(load_tiny) -> None:
    loaded = load_tiny("gpt2")

    def read(seed: int) -> torch.Tensor:
        return rows(stream(loaded, ids_of(loaded), PLACES, StreamSettings(8, 32, seed)), PLACES[1])

    assert torch.equal(read(1), read(1))
    assert not torch.equal(read(1), read(2))


def test_rows_of_one_batch_are_the_same_tokens_at_every_address(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    together = [torch.cat([values[PLACES[0]], values[PLACES[1]]], dim=1) for values in _passes(loaded)]
    expected = torch.cat(together).sort(dim=0).values
    mixed = stream(loaded, ids_of(loaded), PLACES, StreamSettings(8, 32))
    found = torch.cat([torch.cat([batch[PLACES[0]], batch[PLACES[1]]], dim=1) for batch in mixed])
    match = (found.unsqueeze(1) - torch.cat(together).unsqueeze(0)).abs().amax(dim=2).amin(dim=1)
    assert float(match.max()) < 1e-4
    assert found.shape == expected.shape


def _passes(loaded: LoadedModel) -> Iterator[dict[Address, torch.Tensor]]:
    for swept in sweep(loaded, ids_of(loaded), PLACES, PassPlan(64, None)):
        yield swept.values


def test_dropped_tokens_have_no_row(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    ids = ids_of(loaded)
    dropped = ids[0][0]
    settings = StreamSettings(4, 0, drop_ids={dropped})
    n_rows = len(rows(stream(loaded, ids, PLACES, settings), PLACES[0]))
    assert n_rows == sum(token != dropped for text in ids for token in text) < sum(map(len, ids))


def test_a_stream_reads_no_further_than_it_is_asked_to(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    taken: list[int] = []

    def endless() -> Iterator[tuple[int, ...]]:
        while True:
            taken.append(1)
            yield (5, 6, 7, 8)

    batches = stream(loaded, endless(), PLACES, StreamSettings(8, 16, read_tokens=16))
    next(batches)
    assert len(taken) <= 8


def test_a_buffer_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="cannot fill"):
        StreamSettings(8, 4)


def test_the_usual_plan_packs_only_where_that_is_proven(load_tiny) -> None:
    assert default_plan(load_tiny("gpt2"), PLACES).row is not None
    assert default_plan(load_tiny("opt"), PLACES).row is None
