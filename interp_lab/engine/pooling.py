# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""From tokens to one value per prompt and coordinate. Which tokens count is an explicit mask, never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.errors import PromptNotPoolable
from interp_lab.models.tokens import Span, TokenizedPrompt

Pooling = Literal["max", "mean", "last", "span"]
"""Largest, mean or last of a prompt's tokens, or the mean of its labelled spans (so that length gives no advantage)."""


def poolable(
    prompts: Sequence[TokenizedPrompt], pooling: Pooling, spans: Sequence[Sequence[Span]] | None
) -> tuple[tuple[bool, ...], ...]:
    """Return for each prompt which tokens count: its ordinary tokens, or those inside its spans.

    Raises:
        PromptNotPoolable: Some prompts have no such token; the message names them.
    """
    given = spans if pooling == "span" and spans is not None else [()] * len(prompts)
    masks = tuple(_tokens_of(prompt, pooling, own) for prompt, own in zip(prompts, given, strict=True))
    bare = [prompt.id for prompt, mask in zip(prompts, masks, strict=True) if not any(mask)]
    if bare:
        more = f" and {len(bare) - 10} more" if len(bare) > 10 else ""
        raise PromptNotPoolable(f"Pooling '{pooling}' finds no token in: {', '.join(bare[:10])}{more}.")
    return masks


def _tokens_of(prompt: TokenizedPrompt, pooling: Pooling, spans: Sequence[Span]) -> tuple[bool, ...]:
    if pooling != "span":
        return tuple(not special for special in prompt.special)
    covered = [prompt.covers(span) for span in spans]
    return tuple(map(any, zip(*covered, strict=True))) if covered else (False,) * len(prompt)


def pool(
    values: Float[Tensor, "batch pos width"], keep: Bool[Tensor, "batch pos"], pooling: Pooling
) -> Float[Tensor, "batch width"]:
    """Return one float32 value per row and coordinate from the tokens in `keep`, at least one per row.

    What stands at other tokens, NaN included, has no influence.
    """
    ignored = ~keep.unsqueeze(-1)
    if pooling == "max":
        return values.float().masked_fill(ignored, -torch.inf).amax(dim=1)
    if pooling == "last":
        last = torch.arange(keep.shape[1], device=keep.device).where(keep, -1).amax(dim=1)
        return values[torch.arange(len(keep), device=keep.device), last].float()
    return values.float().masked_fill(ignored, 0.0).sum(dim=1) / keep.sum(dim=1, keepdim=True)
