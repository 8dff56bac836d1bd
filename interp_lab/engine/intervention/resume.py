# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Passes that begin in the middle of a model: earlier blocks hand on what they gave before, later ones really run.

The model's own forward pass is what runs, so masks, positions, the last norm and the head are always its own. What is
replaced is the work of blocks whose output is known, and inside `with` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, DynamicLayer

from interp_lab.engine.hooks import hooked
from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import HookPointUnavailable
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


@dataclass(frozen=True, eq=False)
class BaseRun:
    """One unedited run of one prompt: what later runs of it begin from."""

    ids: Int[Tensor, " pos"]
    seen: dict[Address, Float[Tensor, "pos width"]]
    logits: Float[Tensor, "kept n_logit"]
    """Of every position or of the last one only; a column per token of the vocabulary, or per token asked for."""
    cache: Any
    """Keys and values of every block, or None where they cannot be cut to a prefix."""
    n_given: int
    """Length of the tuple that a block returns; 0 where it returns the tensor itself."""

    def before(self, block: int, n_blocks: int) -> Float[Tensor, "pos d_model"]:
        """Return what enters a block, or after the last one what enters the final norm."""
        return self.seen[entering(block, n_blocks)]


def entering(block: int, n_blocks: int) -> Address:
    """Return the address of what enters block number `block`; one past the last block is what leaves the last."""
    return Address("resid_pre", block) if block < n_blocks else Address("resid_post", n_blocks - 1)


def base_run(
    loaded: LoadedModel, ids: Sequence[int], addresses: Sequence[Address], *, keep_cache: bool, final: bool = False
) -> BaseRun:
    """Return an unedited run of one prompt, read at the addresses; `final` gives logits of the last position only.

    Raises:
        HookPointUnavailable: The model has not one of the places, or it has no logits.
    """
    return base_runs(loaded, [ids], addresses, keep_cache=keep_cache, final=final)[0]


def base_runs(
    loaded: LoadedModel,
    texts: Sequence[Sequence[int]],
    addresses: Sequence[Address],
    *,
    keep_cache: bool,
    final: bool = False,
) -> list[BaseRun]:
    """Return unedited runs of prompts of one length, made in one pass.

    Raises:
        HookPointUnavailable: The model has not one of the places, or it has no logits.
    """
    seen: dict[Address, Tensor] = {}
    given: list[int] = []
    rows = torch.tensor([list(ids) for ids in texts], device=loaded.device)
    places = [find_place(loaded, address) for address in dict.fromkeys(addresses)]

    def observe(place: Place, value: Tensor) -> None:
        seen.setdefault(place.address, _per_token(value, *rows.shape))

    inputs = _inputs(loaded, rows, start=0, cache=None, keep_cache=keep_cache)
    if final and "logits_to_keep" in loaded.accepts:
        inputs["logits_to_keep"] = 1
    with hooked(loaded, places, observe), torch.no_grad():
        handle = loaded.blocks[-1].register_forward_hook(lambda _m, _a, output: given.append(tuple_length(output)))
        try:
            output = loaded.model(**inputs)
        finally:
            handle.remove()
    missing = [str(place.address) for place in places if place.address not in seen]
    logits = getattr(output, "logits", None)
    if missing or logits is None:
        raise HookPointUnavailable(f"The model has no {', '.join(missing) or 'next-token logits'}.")
    cache = _usable(getattr(output, "past_key_values", None))
    kept = logits[:, -1:] if final else logits
    return [
        BaseRun(row, {a: value[i] for a, value in seen.items()}, kept[i], _of_row(cache, i), given[0])
        for i, row in enumerate(rows)
    ]


def resumed(
    bases: Sequence[BaseRun],
    n_rows: int,
    loaded: LoadedModel,
    *,
    cache: Any,
    block: int,
    position: int,
    final: bool,
) -> Float[Tensor, "row pos n_vocab"]:
    """Return the logits of `n_rows` runs of each prompt, all of one length; `cache` says what comes before them."""
    ids = _rows_of([base.ids[position:] for base in bases], n_rows)
    inputs = _inputs(loaded, ids, start=position, cache=cache, keep_cache=False)
    if final and "logits_to_keep" in loaded.accepts:
        inputs["logits_to_keep"] = 1
    state = None
    if block:
        state = _rows_of([base.before(block, len(loaded.blocks))[position:] for base in bases], n_rows)
    with skipping(loaded.blocks[:block], state, bases[0].n_given), torch.no_grad():
        logits = loaded.model(**inputs).logits
    return logits[:, -1:] if final else logits


def _rows_of(each: Sequence[Tensor], n_rows: int) -> Tensor:
    """`n_rows` rows of each, without copying where there is only one."""
    wide = [one.expand(n_rows, *one.shape) for one in each]
    return wide[0] if len(wide) == 1 else torch.cat(wide)


@contextmanager
def only_last_position(loaded: LoadedModel) -> Iterator[None]:
    """Compute the last block's projections and MLP for the last position only; the other positions become wrong.

    What is added to the stream there has one position and is spread over all by broadcasting, which is right at the
    last one and nowhere else.
    """
    family, block = loaded.family, loaded.blocks[-1]
    paths = [path for path in (family.out_proj, family.mlp_in) if path]
    handles = [
        block.get_submodule(path).register_forward_pre_hook(_cut_to_last, prepend=True, with_kwargs=True)
        for path in paths
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cut_to_last(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        return (args[0][:, -1:], *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": kwargs["hidden_states"][:, -1:]}


@contextmanager
def skipping(blocks: Sequence[nn.Module], state: Tensor | None, n_given: int) -> Iterator[None]:
    """Let blocks return `state` without computing it; hooks on them still see it."""
    given = state if n_given == 0 else (state, *(None,) * (n_given - 1))

    def hand_on(*_: Any, **__: Any) -> Any:
        return given

    try:
        for block in blocks:
            block.forward = hand_on
        yield
    finally:
        for block in blocks:
            del block.forward


def _inputs(loaded: LoadedModel, ids: Tensor, *, start: int, cache: Any, keep_cache: bool) -> dict[str, Any]:
    positions = torch.arange(start, start + ids.shape[1], device=ids.device).expand(len(ids), -1)
    inputs: dict[str, Any] = {"input_ids": ids, "use_cache": keep_cache or cache is not None}
    if cache is not None:
        inputs["past_key_values"] = cache
    if not loaded.family.positions_follow_padding:
        inputs["position_ids"] = positions
    return {name: value for name, value in inputs.items() if name in loaded.accepts}


def _usable(cache: Any) -> Any:
    """The cache if each of its layers holds all positions; sliding windows and states do not."""
    layers = getattr(cache, "layers", None)
    return cache if layers and all(type(layer) is DynamicLayer for layer in layers) else None


def copied_prefix(cache: Any, position: int, n_rows: int) -> DynamicCache:
    """Return keys and values of the positions before `position`, the same for every row; each pass copies them."""
    prefix = DynamicCache()
    for layer in cache.layers:
        own = DynamicLayer()
        own.lazy_initialization(layer.keys, layer.values)
        own.keys = layer.keys[:, :, :position].expand(n_rows, -1, -1, -1)
        own.values = layer.values[:, :, :position].expand(n_rows, -1, -1, -1)
        prefix.layers.append(own)
    return prefix


def _of_row(cache: Any, row: int) -> Any:
    """The part of a cache that belongs to one row of a batch."""
    if cache is None:
        return None
    own = DynamicCache()
    for layer in cache.layers:
        part = DynamicLayer()
        part.lazy_initialization(layer.keys, layer.values)
        part.keys, part.values = layer.keys[row : row + 1], layer.values[row : row + 1]
        own.layers.append(part)
    return own


def _per_token(value: Tensor, n_rows: int, n_pos: int) -> Tensor:
    return value.unflatten(0, (n_rows, n_pos)) if value.ndim == 2 and value.shape[0] == n_rows * n_pos else value


def tuple_length(output: Any) -> int:
    """Return the length of the tuple that a block returned; 0 where it returned the tensor itself."""
    return len(output) if isinstance(output, tuple) else 0
