# pyright: standard
"""Captures over many prompts: pooled to one row per prompt, or token by token for a few coordinates.

Both are generators of batches, so that a caller can report progress, stop, and never hold more than one
batch of raw activations. The model stays locked until the generator is exhausted or closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interp_lab.engine.batches import TokenBatch, make_batch, plan_batches
from interp_lab.engine.capture import Captured, capture
from interp_lab.engine.lens import Site, addresses_of, coordinates_at
from interp_lab.engine.pooling import Pooling, pool, poolable
from interp_lab.errors import NonFiniteActivations
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import Span, TokenizedPrompt
from interp_lab.points import Address

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
CountArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

TOKEN_BUDGET = 2048
"""Padded tokens per batch."""


class Harvested(NamedTuple):
    """One batch: which prompts it holds, and one float32 row `(batch, width)` per prompt and site."""

    indices: tuple[int, ...]
    rows: dict[Site, FloatArray]
    fired: dict[Site, CountArray]
    """On how many ordinary tokens of the batch each coordinate is above zero, `(width,)`; pooling has no say in it."""
    n_tokens: int
    """Ordinary tokens of the batch."""


class TokenValues(NamedTuple):
    """One prompt, token by token: float32 `(pos, coordinate)` per site, special tokens included."""

    prompt: int
    """Its place in the sequence of prompts."""
    values: dict[Site, FloatArray]


def harvest(
    loaded: LoadedModel,
    prompts: Sequence[TokenizedPrompt],
    sites: Sequence[Site],
    *,
    pooling: Pooling = "max",
    spans: Sequence[Sequence[Span]] | None = None,
    token_budget: int = TOKEN_BUDGET,
) -> Iterator[Harvested]:
    """Yield pooled activations batch by batch, long prompts first; padding and special tokens never count.

    `spans` holds the labelled character ranges of each prompt, needed for pooling `span` only.

    Raises:
        PromptNotPoolable: Some prompts have no token to pool.
        NonFiniteActivations: A pooled value is NaN or infinite.
        HookPointUnavailable: The model does not have one of the places, or it has no width to pool.
        LayerOutOfRange: There is no such layer.
    """
    masks = poolable(prompts, pooling, spans)
    for batch, tensors in _passes(loaded, prompts, addresses_of(sites), token_budget):
        keep = _rectangle([masks[index] for index in batch.indices], batch)
        ids = [prompts[index].id for index in batch.indices]
        rows: dict[Site, FloatArray] = {}
        fired: dict[Site, CountArray] = {}
        for site in dict.fromkeys(sites):  # one at a time: the codes of a dictionary are many times its input
            values = coordinates_at(site, tensors)
            pooled = pool(values, keep, pooling)
            _refuse_non_finite(pooled, site, ids)
            rows[site], fired[site] = pooled.cpu().numpy(), _fired(values, batch)
        yield Harvested(batch.indices, rows, fired, int(batch.keep.sum()))


def token_values(
    loaded: LoadedModel,
    prompts: Sequence[TokenizedPrompt],
    coordinates: Mapping[Site, Sequence[int]],
    *,
    token_budget: int = TOKEN_BUDGET,
) -> Iterator[TokenValues]:
    """Yield the activations of the chosen coordinates on every token, prompt by prompt, long prompts first.

    Raises:
        HookPointUnavailable: The model does not have one of the places, or it has no width.
        LayerOutOfRange: There is no such layer.
    """
    for batch, tensors in _passes(loaded, prompts, addresses_of(coordinates), token_budget):
        chosen = {
            site: coordinates_at(site, tensors)[..., list(indices)].float().cpu().numpy()
            for site, indices in coordinates.items()
        }
        for row, index in enumerate(batch.indices):
            n_tokens = len(prompts[index])
            yield TokenValues(index, {site: value[row, :n_tokens] for site, value in chosen.items()})


def gather(batches: Iterable[Harvested], n_prompts: int) -> dict[Site, FloatArray]:
    """Return all rows of a harvest in the order of the prompts: `(n_prompts, width)` per site."""
    result: dict[Site, FloatArray] = {}
    for batch in batches:
        for site, rows in batch.rows.items():
            whole = result.setdefault(site, np.full((n_prompts, rows.shape[1]), np.nan, dtype=np.float32))
            whole[list(batch.indices)] = rows
    return result


def _passes(
    loaded: LoadedModel, prompts: Sequence[TokenizedPrompt], addresses: Sequence[Address], token_budget: int
) -> Iterator[tuple[TokenBatch, Captured]]:
    with capture(loaded, addresses) as run:
        for indices in plan_batches([len(prompt) for prompt in prompts], token_budget):
            batch = make_batch(loaded, prompts, indices=indices)
            yield batch, run(batch)


def _fired(value: Tensor, batch: TokenBatch) -> CountArray:
    return ((value > 0) & batch.keep.unsqueeze(-1)).sum(dim=(0, 1)).cpu().numpy()


def _rectangle(masks: Sequence[Sequence[bool]], batch: TokenBatch) -> Tensor:
    """The masks as one tensor over a right-padded batch."""
    keep = torch.zeros(batch.ids.shape, dtype=torch.bool)
    for row, mask in enumerate(masks):
        keep[row, : len(mask)] = torch.tensor(mask)
    return keep.to(batch.ids.device)


def _refuse_non_finite(value: Tensor, site: Site, ids: Sequence[str]) -> None:
    wrong = (~value.isfinite()).any(dim=1)
    if wrong.any():
        named = ", ".join(name for name, bad in zip(ids, wrong.tolist(), strict=True) if bad)
        raise NonFiniteActivations(f"Activations at {site} are not finite in: {named[:300]}.")
