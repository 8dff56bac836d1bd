# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The ends of paths: units at later addresses, read as one number per prompt with weights that no edit can move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.lens import Reader, Site, addresses_of, reader_of
from interp_lab.errors import ImpossiblePath
from interp_lab.points import Address

Pool = Literal["mean", "last", "peak"]
"""Over the text tokens of a prompt: their mean, the last one, or that at which the unedited target is largest."""


@dataclass(frozen=True, eq=False)
class Readout:
    """Some units of one site."""

    site: Site
    indices: tuple[int, ...]

    @property
    def address(self) -> Address:
        """The one address that is read.

        Raises:
            ImpossiblePath: The site reads several side by side.
        """
        found = addresses_of([self.site])
        if len(found) != 1:
            raise ImpossiblePath(f"{self.site} reads several addresses at once, so no path ends there.")
        return found[0]

    @cached_property
    def _reader(self) -> Reader:
        return reader_of(self.site, self.indices)

    def read(self, x: Float[Tensor, "row pos d_in"]) -> Float[Tensor, "row pos target"]:
        """Return the values of the units, with gradients where these are asked for and the site lets them through."""
        return self._reader(x).float()


def weights_of(
    values: Float[Tensor, "pos target"], text: Bool[Tensor, " pos"], pool: Pool
) -> Float[Tensor, "pos target"]:
    """Return what each token counts for, from the unedited values; the weights of a target sum to 1."""
    if pool == "mean":
        return (text / text.sum()).unsqueeze(1).expand_as(values)
    if pool == "last":
        place = torch.full((values.shape[1],), int(text.nonzero()[-1]), device=values.device)
    else:
        place = values.masked_fill(~text.unsqueeze(1), -torch.inf).argmax(0)
    return torch.zeros_like(values).scatter_(0, place.unsqueeze(0), 1.0)
