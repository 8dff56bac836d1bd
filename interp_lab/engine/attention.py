# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Attention over short rows as plain matrix products, where a probe finds it equal: scoped and on record.

On a processor the fused kernel of torch is made for long texts; on rows of a few hundred tokens plain products are
several times as fast. Longer rows, and whatever is more than a mask, go to the implementation that the model has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from interp_lab.engine.packing import largest_error, probe_passes
from interp_lab.errors import HookPointUnavailable
from interp_lab.models.load import LoadedModel

NAME = "interp_lab_products"
LONGEST = 256
"""Tokens of a row, at most."""
MAX_ERROR = {torch.float32: 1e-5, torch.float64: 1e-12}
_MAX_ERROR_HALF = 3e-2
_USUAL = "sdpa"
_BEYOND_A_MASK = ("position_bias", "softcap", "s_aux", "cache")
"""What other arguments than a mask may change the outcome."""


class ProductAttention(NamedTuple):
    """Whether the blocks of a model use products for short rows, and how far these are from what the model has."""

    used: bool
    error: float
    """Largest difference over the largest entry after the last block; 0 where nothing was replaced."""


def attention_by_products(
    module: nn.Module, *given: Tensor | None, **options: Any
) -> tuple[Float[Tensor, "batch query head d"], None]:
    """Return the mixed values for `given` query, key, value `(batch, head, pos, d)` and mask, as transformers asks.

    A query that may look at nothing gets a mean of the values, never something that is not a number.
    """
    query, key, value, mask = (*given, options.pop("attention_mask", None))[:4]
    if query is None or key is None or value is None:
        raise HookPointUnavailable("An attention was asked for without queries, keys or values.")
    n_query, n_key = query.shape[2], key.shape[2]
    if n_query != n_key or n_key > LONGEST or any(options.get(name) is not None for name in _BEYOND_A_MASK):
        return cast("tuple[Tensor, None]", sdpa_attention_forward(module, query, key, value, mask, **options))
    is_causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    bias = _bias(query, mask, causal=causal)
    mixed = _mix(query, repeat_kv(key, query.shape[1] // key.shape[1]), value, bias, scale=options.get("scaling"))
    return mixed.transpose(1, 2).contiguous(), None


def _mix(
    query: Float[Tensor, "batch head pos d"],
    key: Float[Tensor, "batch head pos d"],
    value: Float[Tensor, "batch kv_head pos d"],
    bias: Tensor | None,
    *,
    scale: float | None,
) -> Float[Tensor, "batch head pos d"]:
    shape, values = query.shape, repeat_kv(value, query.shape[1] // value.shape[1])
    q, k, v = (part.reshape(-1, *part.shape[2:]) for part in (query, key, values))
    scores = torch.bmm(q * (shape[-1] ** -0.5 if scale is None else scale), k.transpose(1, 2))
    if bias is not None:
        scores = scores.unflatten(0, shape[:2]).add_(bias).flatten(0, 1)
    return torch.bmm(scores.softmax(-1), v).unflatten(0, shape[:2])


def _bias(query: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor | None:
    """What is added to the scores; the lowest finite number where a query may not look, so that no row is empty."""
    if mask is None:
        if not causal:
            return None
        mask = torch.ones((query.shape[2], query.shape[2]), dtype=torch.bool, device=query.device).tril()
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, torch.finfo(query.dtype).min)


_probed: WeakKeyDictionary[LoadedModel, ProductAttention] = WeakKeyDictionary()


def probe_attention(loaded: LoadedModel) -> ProductAttention:
    """Return whether products may be used in this loaded model; a second call returns what the first one found.

    They may not on an accelerator, in models with an attention of their own, in decoders that also look at an encoder,
    or where they differ above rounding.
    """
    with loaded.lock:
        if loaded not in _probed:
            _probed[loaded] = _compare(loaded)
        return _probed[loaded]


def _compare(loaded: LoadedModel) -> ProductAttention:
    own = loaded.family.part == "decoder" or getattr(loaded.model.config, "_attn_implementation", None) != _USUAL
    if loaded.device.type != "cpu" or own:
        return ProductAttention(used=False, error=0.0)
    expected = probe_passes(loaded)
    with _products(loaded):
        error = largest_error(probe_passes(loaded), expected)
    return ProductAttention(error <= MAX_ERROR.get(loaded.dtype, _MAX_ERROR_HALF), error)


@contextmanager
def product_attention(loaded: LoadedModel) -> Iterator[ProductAttention]:
    """Let the blocks use products for short rows inside the block if the probe allows; holds the lock of the model."""
    found = probe_attention(loaded)
    with use_attention(loaded, products=found.used):
        yield found


@contextmanager
def use_attention(loaded: LoadedModel, *, products: bool) -> Iterator[None]:
    """Use what was chosen before, so that work that goes on after an interruption computes as it began."""
    with loaded.lock:
        if not products:
            yield
            return
        with _products(loaded):
            yield


@contextmanager
def _products(loaded: LoadedModel) -> Iterator[None]:
    AttentionInterface.register(NAME, attention_by_products)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    loaded.model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        loaded.model.set_attn_implementation(_USUAL)
