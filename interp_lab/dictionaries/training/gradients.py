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

_KEPT = 1 << 22
"""Numbers that are kept, instead of summed twice, between measuring gradients and moving along them: 16 MB."""

RowGradient = Callable[[slice], Tensor]
"""Rows of a matrix → their gradients, new at every call."""


@dataclass(frozen=True)
class Gradients:
    """One gradient per parameter: at hand in `whole`, or computed for the rows that are asked for."""

    whole: Parameters
    by_rows: Mapping[str, RowGradient] = field(default_factory=dict[str, RowGradient])
    kept: Mapping[tuple[str, int], Tensor] = field(default_factory=dict[tuple[str, int], Tensor])
    """Parameter and first row → the gradient of that block, of those that were not let go after measuring."""

    def names(self) -> set[str]:
        """Return the parameters that there are gradients of."""
        return {*self.whole, *self.by_rows}

    def of(self, name: str, rows: slice | None = None) -> Tensor:
        """Return the gradient of some rows of a parameter, or of all of it."""
        if name in self.whole:
            return self.whole[name] if rows is None else self.whole[name][rows]
        if rows is not None and (name, rows.start) in self.kept:
            return self.kept[name, rows.start]
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
        """Return the same, with as many blocks kept as may be, and the length of all gradients as one vector."""
        kept: dict[tuple[str, int], Tensor] = {}
        square, room = torch.zeros((), device=parameters["b_dec"].device), _KEPT
        for name, parameter in parameters.items():
            for rows in blocks(parameter):
                gradient = self.of(name, rows)
                square += torch.linalg.vector_norm(gradient).square_()
                if name in self.by_rows and gradient.numel() <= room:
                    kept[name, rows.start] = gradient
                    room -= gradient.numel()
                del gradient  # before the next one is made
        return Gradients(self.whole, self.by_rows, kept), float(square.sqrt_())


def blocks(parameter: Tensor) -> Iterator[slice]:
    """Yield runs of rows that are worked on at one time; all rows on a device that is fast because it is wide."""
    n_rows = len(parameter)
    step = max(_BLOCK * n_rows // parameter.numel(), 1) if parameter.device.type == "cpu" else n_rows
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
