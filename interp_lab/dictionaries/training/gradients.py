# pyright: standard
"""The gradients of one step: those of vectors at once, those of matrices a block of latents at a time.

All gradients of a matrix take as much memory as its weights; a block of them lives, in the processor's cache, from its
sum over tokens to the optimiser's step, and is summed twice where their common norm must be known first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from interp_lab.dictionaries.parameters import Parameters, project_out_rows

_BLOCK = 1 << 17
"""Numbers of one block on a CPU: half a megabyte stays in cache."""

RowGradient = Callable[[slice], Tensor]
"""Rows of a matrix → their gradients, new at every call."""


@dataclass(frozen=True)
class Gradients:
    """One gradient per parameter: at hand in `whole`, or computed for the rows that are asked for."""

    whole: Parameters
    by_rows: Mapping[str, RowGradient] = field(default_factory=dict[str, RowGradient])

    def names(self) -> set[str]:
        """Return the parameters that there are gradients of."""
        return {*self.whole, *self.by_rows}

    def of(self, name: str, rows: slice | None = None) -> Tensor:
        """Return the gradient of some rows of a parameter, or of all of it."""
        if name in self.whole:
            return self.whole[name] if rows is None else self.whole[name][rows]
        return self.by_rows[name](slice(0, None) if rows is None else rows)

    def at_hand(self) -> Gradients:
        """Return the same, with every gradient computed whole."""
        return Gradients({name: self.of(name) for name in self.names()})

    def tangent(self, decoder: Tensor) -> Gradients:
        """Return the same without what would only change the length of the decoder's unit rows."""

        def turned(rows: slice) -> Tensor:
            return project_out_rows(self.of("decoder", rows), decoder[rows])

        rest = {name: gradient for name, gradient in self.whole.items() if name != "decoder"}
        return Gradients(rest, {**self.by_rows, "decoder": turned})

    def measured(self, parameters: Parameters) -> tuple[Gradients, float]:
        """Return the same, keeping what is one block, and the length of all gradients as one vector."""
        kept, square = dict(self.whole), torch.zeros((), device=parameters["b_dec"].device)
        for name, parameter in parameters.items():
            for rows in blocks(parameter):
                gradient = self.of(name, rows)
                square += torch.linalg.vector_norm(gradient).square_()
                if len(gradient) == len(parameter):
                    kept[name] = gradient
                del gradient  # before the next one is made
        rest = {name: each for name, each in self.by_rows.items() if name not in kept}
        return Gradients(kept, rest), float(square.sqrt_())


def blocks(parameter: Tensor) -> Iterator[slice]:
    """Yield runs of rows that are worked on at one time; all rows on a device that is fast because it is wide."""
    n_rows = len(parameter)
    step = max(_BLOCK * n_rows // parameter.numel(), 1) if parameter.device.type == "cpu" else n_rows
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
