# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""One pass of a model, read at addresses. It stops as soon as the last of them has been seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.batches import SourceBatch, TokenBatch
from interp_lab.engine.hooks import hooked
from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import HookPointUnavailable
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address

Captured = dict[Address, Tensor]
"""Tensor per address: `(batch, pos, width)`, and `(batch, head, query, key)` for attention probabilities."""


class _EnoughSeen(Exception):
    """Every wanted tensor has been seen; what is left of the forward pass is not needed."""


@contextmanager
def capture(loaded: LoadedModel, addresses: Sequence[Address]) -> Iterator[Capture]:
    """Hold the model and yield a `Capture` that runs batches through it; hooks are gone when the block ends.

    Attention probabilities make the model use its eager attention inside the block, which may differ from its
    usual one in the last digits.

    Raises:
        HookPointUnavailable: The model does not have one of the places.
        LayerOutOfRange: There is no such layer.
    """
    run = Capture(loaded, [find_place(loaded, address) for address in dict.fromkeys(addresses)])
    with ExitStack() as stack:
        stack.enter_context(hooked(loaded, run.inner, run.observe))
        if any(place.take == "probs" for place in run.inner):
            stack.enter_context(_eager_attention(loaded))
        yield run


class Capture:
    """A model with hooks on it. Call it with a batch, inside the `with` block of `capture` only."""

    def __init__(self, loaded: LoadedModel, places: Sequence[Place]) -> None:
        self._loaded = loaded
        self._addresses = tuple(place.address for place in places)
        self._wants_logits = any(address.point == "logits" for address in self._addresses)
        self.inner = tuple(place for place in places if place.address.point != "logits")
        """The places that hooks are on."""
        self._seen: Captured | None = None

    def __call__(self, batch: TokenBatch) -> Captured:
        """Return the tensors of one pass, on the device of the model; those of padding are meaningless.

        Raises:
            HookPointUnavailable: The pass did not go through one of the places.
        """
        inputs = model_inputs(self._loaded, batch)  # before anything is observed: an encoder may share modules
        self._seen = {}
        try:
            output = self._run(inputs)
            seen = self._seen
        finally:
            self._seen = None
        if self._wants_logits:
            seen[Address("logits")] = _logits(output)
        return {address: _per_token(_found(seen, address), batch) for address in self._addresses}

    def observe(self, place: Place, value: Tensor) -> None:
        """Keep the tensor of the first visit to `place`, and end the pass with the last one wanted."""
        if self._seen is None:
            return
        self._seen.setdefault(place.address, value)
        if not self._wants_logits and len(self._seen) == len(self._addresses):
            raise _EnoughSeen

    def _run(self, inputs: dict[str, Any]) -> Any:
        try:
            with torch.no_grad():
                return self._loaded.model(**inputs)
        except _EnoughSeen:
            return None


def model_inputs(loaded: LoadedModel, batch: TokenBatch) -> dict[str, Any]:
    """Return the keyword arguments that make the model read `batch`, positions right on both padding sides.

    Where the decoder of an encoder-decoder reads it, the encoder has read its source when this returns.
    """
    if batch.source is not None:
        return _decoder_inputs(loaded, batch, batch.source)
    inputs: dict[str, Any] = {"input_ids": batch.ids, "use_cache": False}
    if not batch.packed:
        inputs["attention_mask"] = batch.mask.long()
    if not loaded.family.positions_follow_padding:
        inputs["position_ids"] = batch.positions
    return {name: value for name, value in inputs.items() if name in loaded.accepts}


def _decoder_inputs(loaded: LoadedModel, batch: TokenBatch, source: SourceBatch) -> dict[str, Any]:
    mask, encoder = source.mask.long(), loaded.model.get_encoder()
    with torch.no_grad():
        encoded = encoder(input_ids=source.ids, attention_mask=mask)
    return {
        "encoder_outputs": encoded,
        "attention_mask": mask,
        "decoder_input_ids": batch.ids,
        "decoder_attention_mask": batch.mask.long(),
        "use_cache": False,
    }


def _logits(output: Any) -> Float[Tensor, "batch pos n_vocab"]:
    logits = getattr(output, "logits", None)
    if logits is None:
        raise HookPointUnavailable("This checkpoint has no language-model head, so there are no logits.")
    return logits.detach()


def _found(seen: Captured, address: Address) -> Tensor:
    if address not in seen:
        raise HookPointUnavailable(f"The forward pass does not go through {address}.")
    return seen[address]


def _per_token(value: Tensor, batch: TokenBatch) -> Tensor:
    """Some modules see all tokens in one row after another; the batch gives them their shape back."""
    n_batch, n_pos = batch.ids.shape
    if value.ndim == 2 and value.shape[0] == n_batch * n_pos:
        return value.unflatten(0, (n_batch, n_pos))
    return value


@contextmanager
def _eager_attention(loaded: LoadedModel) -> Iterator[None]:
    """Only eager attention computes the probabilities; the usual implementation comes back afterwards."""
    usual = loaded.model.config._attn_implementation or "eager"
    loaded.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        loaded.model.set_attn_implementation(usual)
