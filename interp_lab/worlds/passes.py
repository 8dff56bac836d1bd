# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Forward passes of a world's model with directions removed from, or set in, the residual stream.

Hooks exist only inside a call. For making and verifying worlds; investigations go through the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from interp_lab.worlds.stream import Stream


class Edit(NamedTuple):
    """Set the coordinate along `direction` of the stream that leaves block `layer` to `value`, at every position."""

    layer: int
    direction: Float[Tensor, " d_model"]
    value: float = 0.0
    above: bool = False
    """Only where the coordinate is above that value: what ablating a latent that fires above zero does."""


@dataclass(frozen=True)
class Inputs:
    """Prompts as token ids, padded on the right."""

    ids: Int[Tensor, "batch pos"]
    mask: Int[Tensor, "batch pos"]

    @property
    def last(self) -> Int[Tensor, " batch"]:
        """Position of each prompt's last token."""
        return self.mask.sum(1) - 1

    def rows(self, chosen: Sequence[int]) -> Inputs:
        """Return some of the prompts."""
        return Inputs(self.ids[list(chosen)], self.mask[list(chosen)])


class Pass(NamedTuple):
    """What one forward pass showed."""

    logits: Float[Tensor, "batch n_vocab"]
    """At each prompt's last token."""
    stream: tuple[Float[Tensor, "batch pos d_model"], ...]
    """The residual stream that leaves each block, edits included; padding is zero."""


def pad(rows: Sequence[Sequence[int]], filler: int) -> Inputs:
    """Return token ids of different lengths in one rectangle."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return Inputs(ids, mask)


def run(stream: Stream, inputs: Inputs, edits: Sequence[Edit] = ()) -> Pass:
    """Return one pass under the edits."""
    seen: list[Tensor] = []

    def keep(layer: int, state: Tensor) -> Tensor:
        for edit in edits:
            if edit.layer == layer:
                lacking = edit.value - state @ edit.direction
                lacking = lacking.clamp(max=0.0) if edit.above else lacking
                state = state + lacking[..., None] * edit.direction
        seen.append(state * inputs.mask[..., None])
        return state

    with _on_blocks(stream.blocks, keep), torch.no_grad():
        logits = stream.model(input_ids=inputs.ids, attention_mask=inputs.mask, use_cache=False).logits
    return Pass(_at_last(logits, inputs), tuple(seen))


def entering(stream: Stream, inputs: Inputs, modules: Sequence[nn.Module]) -> tuple[Float[Tensor, "batch width"], ...]:
    """Return what enters each module at each prompt's last token."""
    seen: dict[int, Tensor] = {}

    def keep(place: int) -> Callable[..., None]:
        return lambda _module, args: seen.update({place: _at_last(args[0], inputs)})

    with ExitStack() as stack, torch.no_grad():
        for place, module in enumerate(modules):
            stack.callback(module.register_forward_pre_hook(keep(place)).remove)
        stream.model(input_ids=inputs.ids, attention_mask=inputs.mask, use_cache=False)
    return tuple(seen[place] for place in range(len(modules)))


@contextmanager
def _on_blocks(blocks: Sequence[nn.Module], replace: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    def hook(layer: int) -> Callable[..., Any]:
        def after(_module: nn.Module, _args: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (replace(layer, output[0]), *output[1:])
            return replace(layer, output)

        return after

    with ExitStack() as stack:
        for layer, block in enumerate(blocks):
            stack.callback(block.register_forward_hook(hook(layer)).remove)
        yield


def _at_last(values: Tensor, inputs: Inputs) -> Tensor:
    return values[torch.arange(len(values)), inputs.last]
