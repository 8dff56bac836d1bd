# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The ends of paths: units at later addresses, read as one number per prompt with weights that no edit can move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.lens import Site, addresses_of, coordinates_at
from interp_lab.errors import ImpossiblePath
from interp_lab.points import Address

Pool = Literal["mean", "last", "peak"]
"""Over the text tokens of a prompt: their mean, the last one, or that at which the unedited target is largest."""


@dataclass(frozen=True, eq=False)
class Readout:
    """Some units of one site."""

    site: Site
    indices: tuple[int, ...]
    with_gradients: Callable[[Float[Tensor, "token d_in"]], Float[Tensor, "token width"]] | None = None
    """Encodes as the site does and lets gradients through, where the site itself does not."""

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

    def read(self, x: Float[Tensor, "row pos d_in"]) -> Float[Tensor, "row pos target"]:
        """Return the values of the units."""
        seen: Mapping[Address, Tensor] = {self.address: x}
        return coordinates_at(self.site, seen)[..., list(self.indices)].float()

    def differentiable(self, x: Float[Tensor, "pos d_in"]) -> Float[Tensor, "pos target"]:
        """Return the values of the units with gradients towards `x`."""
        if isinstance(self.site, Address):
            return x[:, list(self.indices)].float()
        encode = self.with_gradients or self.site.encode
        return encode(x)[:, list(self.indices)].float()


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
