# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What is read of a pass: an address as it is, or what a dictionary makes of one address or of several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.errors import HookPointUnavailable
from interp_lab.points import Address

Encode = Callable[[Float[Tensor, "token d_in"]], Float[Tensor, "token width"]]
"""From activations to coordinates, token by token."""
Reader = Callable[[Float[Tensor, "row pos d_in"]], Float[Tensor, "row pos unit"]]
"""From what passes an address to the coordinates that are asked for."""


@dataclass(frozen=True, eq=False)
class Lens:
    """A set of coordinates computed from the activations of a token, such as the latents of a dictionary."""

    key: str
    """Name of the set, for example 'resid_post.2/sae'."""
    addresses: tuple[Address, ...]
    """What it reads, side by side."""
    encode: Encode
    """From activations to coordinates; tokens are independent of each other."""
    encoder_of: Callable[[Sequence[int]], Encode] | None = field(default=None, kw_only=True)
    """From some coordinates to what computes these only and lets gradients through, where `encode` does neither."""

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


def reader_of(site: Site, indices: Sequence[int]) -> Reader:
    """Return what reads some coordinates of a site from the one address that it reads.

    The reader raises HookPointUnavailable where the address has not one row of numbers per token.
    """
    chosen = list(indices)
    if isinstance(site, Address):
        return lambda x: _with_width(site, x)[..., chosen]
    (address,) = site.addresses
    if site.encoder_of is None:
        return lambda x: coordinates_at(site, {address: x})[..., chosen]
    encode = site.encoder_of(chosen)
    return lambda x: encode(_with_width(address, x).flatten(0, 1)).unflatten(0, x.shape[:2])


def _with_width(address: Address, value: Tensor) -> Tensor:
    if value.ndim != 3:
        raise HookPointUnavailable(f"{address} has shape {tuple(value.shape)}, not one row of numbers per token.")
    return value
