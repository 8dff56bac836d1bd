# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Attention of many edited runs of the same texts: what comes before the first edit is attended once for all of them.

Rows of a batch are runs of one text, or equally many of each of several texts of one length. Keys and values of the
tokens before the position at which they begin are kept once per text, never copied per row, and no mask is built: a
token sees every token up to itself. Whatever is more than that is refused, so that a probe finds it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.cache_utils import DynamicCache, DynamicLayer

from interp_lab.errors import HookPointUnavailable
from interp_lab.models.load import LoadedModel

NAME = "interp_lab_runs"
LONGEST = 256
"""Tokens of a row from which the fused kernel of torch is used where nothing is shared."""
_BEYOND = ("position_bias", "softcap", "s_aux", "sliding_window", "cache")
_USUAL = frozenset({"sdpa", "eager"})


@dataclass(frozen=True, eq=False)
class Shared:
    """Keys and values that all rows share, and which layer is asked for its last position only."""

    keys: tuple[Float[Tensor, "text kv_head pos d"], ...] = ()
    values: tuple[Float[Tensor, "text kv_head pos d"], ...] = ()
    trimmed: int | None = None


_SHARED: ContextVar[Shared | None] = ContextVar("shared_keys_and_values", default=None)


def can_share(loaded: LoadedModel) -> bool:
    """Whether the model's attention can be replaced at all; whether it is equal then, a probe must say."""
    return loaded.family.kind == "decoder" and getattr(loaded.model.config, "_attn_implementation", None) in _USUAL


@contextmanager
def attention_of_runs(loaded: LoadedModel) -> Iterator[None]:
    """Let the blocks attend as this module describes inside the block; holds the lock of the model."""
    with loaded.lock:
        usual = loaded.model.config._attn_implementation or "eager"
        AttentionInterface.register(NAME, attend)
        loaded.model.set_attn_implementation(NAME)
        try:
            yield
        finally:
            loaded.model.set_attn_implementation(usual)


@contextmanager
def sharing(caches: Sequence[Any], position: int, *, trimmed: int | None) -> Iterator[None]:
    """Share the keys and values before `position` of each text inside the block; `trimmed` is a layer or None."""
    keys, values = (), ()
    if position:
        layers = list(zip(*(cache.layers for cache in caches), strict=True))
        keys = tuple(torch.cat([one.keys[:, :, :position] for one in layer]) for layer in layers)
        values = tuple(torch.cat([one.values[:, :, :position] for one in layer]) for layer in layers)
    token = _SHARED.set(Shared(keys, values, trimmed))
    try:
        yield
    finally:
        _SHARED.reset(token)


class _Passing(DynamicLayer):
    """Says how many positions came before, and keeps nothing: the new keys and values are all that is handed on."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return key_states, value_states

    def get_seq_length(self) -> int:
        return self.position


def passing_cache(n_layers: int, position: int) -> DynamicCache:
    """Return a cache that makes the model count positions from `position` on."""
    cache = DynamicCache()
    cache.layers.extend(_Passing(position) for _ in range(n_layers))
    return cache


def attend(module: nn.Module, *given: Tensor | None, **options: Any) -> tuple[Float[Tensor, "row pos head d"], None]:
    """Return the mixed values for `given` query, key, value `(row, head, pos, d)` and mask, as transformers asks.

    Raises:
        HookPointUnavailable: The model's attention is more than causal attention.
    """
    query, key, value, mask = (*given, options.pop("attention_mask", None))[:4]
    if query is None or key is None or value is None:
        raise HookPointUnavailable("An attention was asked for without queries, keys or values.")
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    if mask is not None or not causal or any(options.get(name) is not None for name in _BEYOND):
        raise HookPointUnavailable("This attention is more than causal attention.")
    shared, n_pos = _SHARED.get() or Shared(), query.shape[2]
    layer: int = module.layer_idx  # pyright: ignore[reportAssignmentType]
    if layer == shared.trimmed:
        query = query[:, :, -1:]
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    if shared.keys:
        mixed = _with_shared(query * scale, (key, value), (shared.keys[layer], shared.values[layer]))
    else:
        mixed = _alone(query, key, value, scale)
    return mixed.expand(-1, n_pos, -1, -1), None


def _alone(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Float[Tensor, "row pos head d"]:
    n_group, n_query = query.shape[1] // key.shape[1], query.shape[2]
    if n_group > 1:
        key, value = key.repeat_interleave(n_group, 1), value.repeat_interleave(n_group, 1)
    if key.shape[2] > LONGEST or key.device.type != "cpu":
        whole = n_query == key.shape[2]
        return functional.scaled_dot_product_attention(query, key, value, is_causal=whole, scale=scale).transpose(1, 2)
    flat = [part.reshape(-1, *part.shape[2:]) for part in (query * scale, key, value)]
    scores = torch.bmm(flat[0], flat[1].transpose(1, 2))
    if n_query > 1:
        scores += _lower(n_query, scores)
    return torch.bmm(scores.softmax(-1), flat[2]).unflatten(0, query.shape[:2]).transpose(1, 2)


def _with_shared(
    query: Tensor, own: tuple[Tensor, Tensor], shared: tuple[Tensor, Tensor]
) -> Float[Tensor, "row pos head d"]:
    """Rows of one text and head go through one product with what they share; pairs are keys and values."""
    keys, values = shared
    n_texts, n_kv, n_before, width = keys.shape
    n_rows, n_group, n_query = len(query) // n_texts, query.shape[1] // n_kv, query.shape[2]
    grouped = query.reshape(n_texts, n_rows, n_kv, n_group * n_query, width).transpose(1, 2)
    own_keys, own_values = (part.reshape(n_texts, n_rows, n_kv, -1, width).transpose(1, 2) for part in own)
    before = torch.matmul(grouped.reshape(n_texts, n_kv, -1, width), keys.transpose(-1, -2))
    before = before.unflatten(2, (n_rows, -1))
    after = torch.matmul(grouped, own_keys.transpose(-1, -2))
    if n_query > 1:
        after = (after.unflatten(3, (n_group, n_query)) + _lower(n_query, after)).flatten(3, 4)
    weights = torch.cat([before, after], dim=-1).softmax(-1)
    seen, new = weights.split([n_before, after.shape[-1]], dim=-1)
    mixed = torch.matmul(new, own_values)
    mixed += torch.matmul(seen.flatten(2, 3), values).unflatten(2, (n_rows, -1))
    rows = mixed.unflatten(3, (n_group, n_query)).permute(0, 2, 4, 1, 3, 5)
    return rows.reshape(n_texts * n_rows, n_query, n_kv * n_group, width)


def _lower(n_pos: int, like: Tensor) -> Float[Tensor, "pos pos"]:
    lowest = torch.finfo(like.dtype).min
    return torch.full((n_pos, n_pos), lowest, dtype=like.dtype, device=like.device).triu(1)
