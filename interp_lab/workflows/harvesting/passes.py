# pyright: standard
"""The model's part of a harvest: a stretch of text through it, every own token's activations and metrics collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from interp_lab.engine.sweep import PassPlan, Swept, sweep
from interp_lab.engine.token_metrics import Floats, Scene
from interp_lab.errors import InvalidRequest
from interp_lab.points import Address
from interp_lab.workflows.harvesting.inputs import Inputs
from interp_lab.workflows.harvesting.stretches import Stretch

_ADDED_AT_ONCE = 4096
LOGITS = Address("logits")


@dataclass(eq=False)
class Collected:
    """Rows of one stretch, in the order of the corpus."""

    inputs: Inputs
    stretch: Stretch
    values: dict[Address, Tensor] = field(default_factory=dict[Address, Tensor])
    """`(n_rows, width)`, in the number format of the store where that loses nothing."""
    metrics: dict[str, Floats] = field(default_factory=dict[str, Floats])
    n_read: int = 0
    """Tokens that went through the model, context included."""
    halved: list[int] = field(default_factory=list[int])
    """Tokens of every pass that ran out of memory and was done in halves."""

    def __post_init__(self) -> None:
        self.metrics = {m.name: np.full(self.stretch.n_rows, np.nan, np.float32) for m in self.inputs.metrics}
        self._first = np.cumsum([0, *(piece.n_own for piece in self.stretch.pieces)])

    def blocks(self, start: int, stop: int) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """Yield the activations of rows `start:stop` as float32, some thousand rows at a time."""
        for begin in range(start, stop, _ADDED_AT_ONCE):
            rows = slice(begin, min(begin + _ADDED_AT_ONCE, stop))
            yield rows, {str(address): value[rows].float().numpy() for address, value in self.values.items()}

    def take(self, swept: Swept) -> None:
        """Take what one pass gave.

        Raises:
            InvalidRequest: A metric does not return one number per token.
        """
        self._store(swept)
        begin = 0
        for index in swept.pieces:
            piece = self.stretch.pieces[index]
            if self.inputs.metrics:
                part = {address: value[begin : begin + len(piece)] for address, value in swept.values.items()}
                self._measure(index, part)
            begin += len(piece)
        self.n_read += begin

    def _store(self, swept: Swept) -> None:
        source, target = self._places(swept)
        dtype = torch.bfloat16 if self.inputs.request.dtype == "bfloat16" else torch.float32
        for address in self.inputs.addresses:
            value = swept.values[address]
            if address not in self.values:
                self.values[address] = torch.empty((self.stretch.n_rows, value.shape[-1]), dtype=dtype)
            own = value if len(source) == len(value) else value[source.to(value.device)]
            self.values[address][target] = own.to(dtype).cpu()

    def _places(self, swept: Swept) -> tuple[Tensor, Tensor]:
        """Where each own token stands in the pass, and in the stretch."""
        source: list[Tensor] = []
        target: list[Tensor] = []
        begin = 0
        for index in swept.pieces:
            piece, first = self.stretch.pieces[index], int(self._first[index])
            source.append(torch.arange(begin + piece.lead, begin + piece.lead + piece.n_own))
            target.append(torch.arange(first, first + piece.n_own))
            begin += len(piece)
        return torch.cat(source), torch.cat(target)

    def _measure(self, index: int, values: dict[Address, Tensor]) -> None:
        piece, first = self.stretch.pieces[index], int(self._first[index])
        scene = Scene(self.stretch.documents[piece.document].tokens, piece, values.get(LOGITS), values)
        for metric in self.inputs.metrics:
            found = np.asarray(metric.compute(scene), np.float32)
            if found.shape != (piece.n_own,):
                raise InvalidRequest(f"The metric {metric.name!r} gave {found.shape} values for {piece.n_own} tokens.")
            self.metrics[metric.name][first : first + piece.n_own] = found


def collect(
    inputs: Inputs, stretch: Stretch, plan: PassPlan, *, check: Callable[[], None], report: Callable[[int], None]
) -> Collected:
    """Return what the model does on a stretch; `report` hears after every pass how many tokens have been read.

    Raises:
        HookPointUnavailable, OutOfMemory: see `sweep`.
        InvalidRequest: A metric does not return one number per token.
    """
    collected = Collected(inputs, stretch)
    ids = [piece.ids for piece in stretch.pieces]
    read = [stretch.documents[piece.document].source for piece in stretch.pieces]
    sources = [source.ids for source in read if source is not None] or None
    asked = inputs.loaded, ids, inputs.captured, plan
    for swept in sweep(*asked, sources=sources, check=check, on_halved=collected.halved.append):
        collected.take(swept)
        report(collected.n_read)
    return collected
