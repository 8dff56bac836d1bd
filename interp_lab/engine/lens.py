# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What is read of a pass: an address as it is, or what a dictionary makes of one address or of several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.errors import HookPointUnavailable
from interp_lab.points import Address


@dataclass(frozen=True, eq=False)
class Lens:
    """A set of coordinates computed from the activations of a token, such as the latents of a dictionary."""

    key: str
    """Name of the set, for example 'resid_post.2/sae'."""
    addresses: tuple[Address, ...]
    """What it reads, side by side."""
    encode: Callable[[Float[Tensor, "token d_in"]], Float[Tensor, "token width"]]
    """From activations to coordinates; tokens are independent of each other."""

    def __str__(self) -> str:
        return self.key


Site = Address | Lens
"""A set of coordinates that can be read."""


def addresses_of(sites: Iterable[Site]) -> tuple[Address, ...]:
    """Return every address that the sites read, each once, in order."""
    read = (site.addresses if isinstance(site, Lens) else (site,) for site in sites)
    return tuple(dict.fromkeys(address for addresses in read for address in addresses))


def coordinates_at(site: Site, seen: Mapping[Address, Tensor]) -> Float[Tensor, "batch pos width"]:
    """Return the coordinates of every token of a pass.

    Raises:
        HookPointUnavailable: An address that is read has not one row of numbers per token.
    """
    if isinstance(site, Address):
        return _with_width(site, seen[site])
    values = torch.cat([_with_width(address, seen[address]) for address in site.addresses], dim=-1)
    return site.encode(values.flatten(0, 1)).unflatten(0, values.shape[:2])


def _with_width(address: Address, value: Tensor) -> Tensor:
    if value.ndim != 3:
        raise HookPointUnavailable(f"{address} has shape {tuple(value.shape)}, not one row of numbers per token.")
    return value
