"""What a capture promises about the model it borrows: hooks gone, later layers skipped, one user at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from interp_lab.engine.batches import TokenBatch, make_batch
from interp_lab.engine.capture import capture
from interp_lab.errors import HookPointUnavailable, LayerOutOfRange
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import HOOK_POINTS, Address

TEXTS = {"a": "the cat sat on the mat", "b": "dog ran to the house"}


@pytest.fixture
def gpt2(load_tiny) -> LoadedModel:
    return load_tiny("gpt2")


@pytest.fixture
def batch(gpt2: LoadedModel) -> TokenBatch:
    return make_batch(gpt2, tokenize(gpt2, TEXTS))


def read(loaded: LoadedModel, batch: TokenBatch, *texts: str) -> list[torch.Tensor]:
    with capture(loaded, [Address.parse(text) for text in texts]) as run:
        return list(run(batch).values())


def n_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@contextmanager
def visits(modules: tuple[nn.Module, ...]) -> Iterator[list[int]]:
    counts = [0] * len(modules)

    def count(index: int):
        def hook(*_: object) -> None:
            counts[index] += 1

        return hook

    handles = [module.register_forward_pre_hook(count(index)) for index, module in enumerate(modules)]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(
    ("text", "expected"), [("resid_post.0", [1, 0, 0]), ("mlp_out.1", [1, 1, 0]), ("embed", [0] * 3)]
)
def test_layers_after_the_deepest_wanted_one_are_not_run(gpt2, batch, text: str, expected: list[int]) -> None:
    with visits(gpt2.blocks) as counts:
        read(gpt2, batch, text)
    assert counts == expected


def test_asking_for_logits_runs_the_whole_model(gpt2, batch) -> None:
    with visits(gpt2.blocks) as counts:
        read(gpt2, batch, "resid_pre.0", "logits")
    assert counts == [1, 1, 1]


def test_an_early_exit_gives_the_same_tensor_as_a_full_pass(gpt2, batch) -> None:
    early = read(gpt2, batch, "mlp_out.1")[0]
    full = read(gpt2, batch, "mlp_out.1", "logits")[0]
    assert torch.equal(early, full)


def test_no_hook_is_left_after_a_capture(gpt2, batch) -> None:
    before = n_hooks(gpt2.model)
    with capture(gpt2, [Address("resid_post", 1), Address("z", 0)]) as run:
        assert n_hooks(gpt2.model) == before + 2
        run(batch)
    assert n_hooks(gpt2.model) == before


def test_no_hook_is_left_when_the_block_fails(gpt2) -> None:
    before = n_hooks(gpt2.model)
    with pytest.raises(ZeroDivisionError), capture(gpt2, [Address("resid_post", 1)]):
        raise ZeroDivisionError
    assert n_hooks(gpt2.model) == before


def test_no_hook_is_left_when_the_model_fails_and_it_works_again(gpt2, batch) -> None:
    before = n_hooks(gpt2.model)
    expected = read(gpt2, batch, "resid_post.2")[0]
    outside = TokenBatch(batch.indices, batch.ids + 10**6, batch.mask, batch.keep, batch.positions)
    with pytest.raises(IndexError), capture(gpt2, [Address("resid_post", 2)]) as run:
        run(outside)
    assert n_hooks(gpt2.model) == before
    assert torch.equal(read(gpt2, batch, "resid_post.2")[0], expected)


def test_no_hook_is_put_on_when_one_address_is_wrong(gpt2) -> None:
    before = n_hooks(gpt2.model)
    with (
        pytest.raises(LayerOutOfRange, match="layers 0 to 2"),
        capture(gpt2, [Address("resid_post", 1), Address("z", 3)]),
    ):
        pass
    assert n_hooks(gpt2.model) == before


def test_threads_take_turns_on_one_model(gpt2, batch) -> None:
    expected = [read(gpt2, batch, f"resid_post.{layer}")[0] for layer in range(3)]
    inside, most, wrong = [0], [0], []
    gate = threading.Barrier(3)

    def work(layer: int) -> None:
        gate.wait(timeout=900)
        for _ in range(5):
            with capture(gpt2, [Address("resid_post", layer)]) as run:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                wrong.append(not torch.equal(run(batch)[Address("resid_post", layer)], expected[layer]))
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(layer,)) for layer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=900)
    assert most == [1]
    assert wrong == [False] * 15


def test_a_capture_inside_another_does_not_disturb_it(gpt2, batch) -> None:
    outer, inner = Address("resid_post", 0), Address("resid_post", 2)
    with capture(gpt2, [outer]) as run_outer, capture(gpt2, [inner]) as run_inner:
        deep = run_inner(batch)[inner]
        shallow = run_outer(batch)[outer]
    assert torch.equal(deep, read(gpt2, batch, "resid_post.2")[0])
    assert torch.equal(shallow, read(gpt2, batch, "resid_post.0")[0])


def test_every_row_of_a_batch_is_kept(load_tiny) -> None:
    for name in ("gpt2", "gpt_neo"):
        loaded = load_tiny(name)
        prompts = tokenize(loaded, TEXTS)
        together = read(loaded, make_batch(loaded, prompts), "resid_post.1")[0]
        assert together.shape[0] == 2
        second = read(loaded, make_batch(loaded, prompts, indices=[1]), "resid_post.1")[0]
        torch.testing.assert_close(together[1, : second.shape[1]], second[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("row", [row for row in HOOK_POINTS if row.transformer_lens], ids=lambda row: row.name)
def test_a_transformer_lens_name_gives_the_same_tensor(gpt2, batch, row) -> None:
    ours = f"{row.name}.1" if row.scope == "layer" else row.name
    assert torch.equal(read(gpt2, batch, row.transformer_lens.format(1))[0], read(gpt2, batch, ours)[0])


def test_any_module_can_be_read_on_either_side_by_its_path(gpt2, batch) -> None:
    seen = read(gpt2, batch, "module:transformer.h.1.mlp@in", "module:transformer.h.1.mlp", "mlp_in.1", "mlp_out.1")
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])


def test_an_unknown_module_is_refused_with_near_names(gpt2, batch) -> None:
    with pytest.raises(HookPointUnavailable, match=r"transformer\.h\.1\.mlp"):
        read(gpt2, batch, "module:transformer.h.1.mpl")


def test_a_module_that_the_pass_does_not_visit_is_refused(gpt2, batch) -> None:
    with pytest.raises(HookPointUnavailable, match="does not go through"):
        read(gpt2, batch, "module:transformer.h")


def test_a_module_that_is_given_ids_has_no_activation_to_read(gpt2, batch) -> None:
    with pytest.raises(HookPointUnavailable, match="no activation"):
        read(gpt2, batch, "module:transformer.wte@in")


def test_a_point_that_parallel_blocks_lack_is_refused_with_those_they_have(load_tiny) -> None:
    loaded = load_tiny("gpt_neox")
    with pytest.raises(HookPointUnavailable, match="resid_post"), capture(loaded, [Address("resid_mid", 0)]):
        pass


def test_attention_probabilities_are_distributions_over_the_past(gpt2, batch) -> None:
    probabilities = read(gpt2, batch, "attn_probs.1")[0]
    torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(probabilities.sum(-1)))
    assert probabilities.triu(1).abs().max() == 0


def test_the_attention_implementation_comes_back_after_probabilities_were_read(gpt2, batch) -> None:
    usual = gpt2.model.config._attn_implementation
    before = read(gpt2, batch, "logits")[0]
    with capture(gpt2, [Address("attn_probs", 0)]):
        assert gpt2.model.config._attn_implementation == "eager" != usual
    with pytest.raises(ZeroDivisionError), capture(gpt2, [Address("attn_probs", 0)]):
        raise ZeroDivisionError
    assert gpt2.model.config._attn_implementation == usual
    assert torch.equal(read(gpt2, batch, "logits")[0], before)


def test_captured_tensors_carry_no_gradient_history(gpt2, batch) -> None:
    assert not any(tensor.requires_grad for tensor in read(gpt2, batch, "resid_post.1", "logits"))
