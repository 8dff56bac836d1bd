# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Token batches: which prompts go together, how they are padded, which tokens count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt

PaddingSide = Literal["left", "right"]


class SourceBatch(NamedTuple):
    """What the encoder reads for each row of a batch of decoder text, padded on the right."""

    ids: Int[Tensor, "batch source_pos"]
    mask: Bool[Tensor, "batch source_pos"]


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Prompts of different lengths in one rectangle, on the device of the model."""

    indices: tuple[int, ...]
    """Place of each row in the sequence of prompts that the batch was made from."""
    ids: Int[Tensor, "batch pos"]
    mask: Bool[Tensor, "batch pos"]
    """True on tokens, false on padding."""
    keep: Bool[Tensor, "batch pos"]
    """True on the tokens that stand for text of the prompt: neither padding nor special."""
    positions: Int[Tensor, "batch pos"]
    """Position of each token in its own prompt, from 0 whatever the padding."""
    packed: bool = False
    """Whether rows hold several texts one after another, told apart by positions that begin anew."""
    source: SourceBatch | None = None
    """Given when the decoder of an encoder-decoder is read, and then only."""


def plan_batches(lengths: Sequence[int], token_budget: int) -> tuple[tuple[int, ...], ...]:
    """Return indices in batches of similar length, longest first, so that running out of memory shows at once.

    The padded size of a batch is at most `token_budget` tokens, unless it is a single longer prompt.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > token_budget:
            batches.append([])
        batches[-1].append(index)
    return tuple(tuple(batch) for batch in batches)


def make_batch(
    loaded: LoadedModel,
    prompts: Sequence[TokenizedPrompt],
    *,
    indices: Sequence[int] | None = None,
    side: PaddingSide = "right",
) -> TokenBatch:
    """Return the prompts at `indices` (all of them by default) padded on `side`."""
    chosen = tuple(range(len(prompts)) if indices is None else indices)
    rows = [prompts[index] for index in chosen]
    pad = pad_id(loaded)
    mask = _pad([[True] * len(row) for row in rows], pad=False, side=side).bool()
    return TokenBatch(
        indices=chosen,
        ids=_pad([row.ids for row in rows], pad=pad, side=side).to(loaded.device),
        mask=mask.to(loaded.device),
        keep=_pad([[not special for special in row.special] for row in rows], pad=False, side=side)
        .bool()
        .to(loaded.device),
        positions=(mask.long().cumsum(1) - 1).clamp(min=0).to(loaded.device),
    )


def source_batch(loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> SourceBatch:
    """Return the texts that the encoder reads, one per row, on the device of the model."""
    mask = _pad([[True] * len(row) for row in rows], pad=False, side="right").bool()
    return SourceBatch(_pad(rows, pad=pad_id(loaded), side="right").to(loaded.device), mask.to(loaded.device))


def _pad(rows: Sequence[Sequence[int]], *, pad: int, side: PaddingSide) -> Int[Tensor, "batch pos"]:
    width = max(map(len, rows))
    filled = [
        [*row, *[pad] * (width - len(row))] if side == "right" else [*[pad] * (width - len(row)), *row] for row in rows
    ]
    return torch.tensor(filled, dtype=torch.long)


def pad_id(loaded: LoadedModel) -> int:
    """Return an id inside the vocabulary to pad with; the model's own first: RoBERTa derives positions from it."""
    candidates = (getattr(loaded.model.config, "pad_token_id", None), loaded.tokenizer.pad_token_id)
    n_vocab = loaded.facts.n_vocab or 1
    return next((i for i in candidates if isinstance(i, int) and 0 <= i < n_vocab), 0)
