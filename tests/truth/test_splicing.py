"""A spliced activation is what the rest of the model sees, bit by bit, and nothing is left of it afterwards."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from interp_lab.engine.batches import TokenBatch, make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.splice import Replace, splice
from interp_lab.errors import HookPointUnavailable, LayerOutOfRange
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address

TEXTS = {"a": "the cat sat on the mat", "b": "dog ran to the house"}
LOGITS = Address("logits")
PLACES = ("resid_pre.1", "resid_post.1", "attn_out.1", "mlp_out.1", "mlp_act.1", "z.1", "embed", "resid_post.2")


def logits(loaded: LoadedModel, batch: TokenBatch, at: str = "", replace: Replace | None = None) -> Tensor:
    with capture(loaded, [LOGITS]) as run:
        if replace is None:
            return run(batch)[LOGITS]
        with splice(loaded, Address.parse(at), replace):
            return run(batch)[LOGITS]


CASES = [*product(("gpt2", "llama"), PLACES), ("gpt_neox", "mlp_out.1"), ("gpt_neo", "resid_post.1")]


@pytest.mark.parametrize(("family", "place"), CASES)
def test_what_was_there_put_back_leaves_every_bit_and_something_else_does_not(load_tiny, family, place) -> None:
    loaded = load_tiny(family)
    batch = make_batch(loaded, tokenize(loaded, TEXTS))
    clean = logits(loaded, batch)
    assert torch.equal(logits(loaded, batch, place, lambda _, own: own + (own - own)), clean)
    assert not torch.equal(logits(loaded, batch, place, lambda _, own: own * 0.5), clean)
    assert torch.equal(logits(loaded, batch), clean)


def test_the_model_goes_on_from_what_was_put_there(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    batch = make_batch(loaded, tokenize(loaded, {"a": TEXTS["a"]}))
    drawn = torch.randn(batch.ids.numel(), 32, generator=torch.Generator().manual_seed(0))
    spliced = logits(loaded, batch, "resid_post.1", lambda _, own: drawn)
    with torch.no_grad():
        hidden = loaded.blocks[2](drawn.reshape(1, -1, 32))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        model = loaded.model
        wanted = model.lm_head(model.transformer.ln_f(hidden))
    torch.testing.assert_close(spliced, wanted, rtol=0, atol=1e-5)


def test_what_was_read_before_in_the_pass_is_at_hand(load_tiny) -> None:
    loaded = load_tiny("llama")
    batch = make_batch(loaded, tokenize(loaded, TEXTS))
    read, write = Address.parse("resid_pre.1"), Address.parse("resid_post.1")
    with capture(loaded, [read, write]) as run:
        before = run(batch)[read]
    seen: list[Tensor] = []

    def replace(values, own):
        seen.append(values[read])
        return values[read]

    with capture(loaded, [write]) as run, splice(loaded, write, replace, reads=[read]):
        after = run(batch)[write]
    assert torch.equal(seen[0], before.flatten(0, 1))
    assert torch.equal(after, before)  # the block was skipped: what a later reader sees is what was put there


def test_hooks_are_gone_after_an_error_and_impossible_places_are_refused(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    batch = make_batch(loaded, tokenize(loaded, TEXTS))
    clean = logits(loaded, batch)

    def broken(values, own):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        logits(loaded, batch, "resid_post.0", broken)
    assert torch.equal(logits(loaded, batch), clean)
    for place in ("logits", "attn_probs.0", "q.0"):
        with pytest.raises(HookPointUnavailable):
            logits(loaded, batch, place, lambda _, own: own)
    with pytest.raises(LayerOutOfRange):
        logits(loaded, batch, "resid_post.9", lambda _, own: own)
