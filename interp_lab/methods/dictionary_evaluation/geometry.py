# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""How the latents lie: nearest neighbours, encoder against decoder, lengths, and how many dimensions they span."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

_TILE = 512
Floats = NDArray[np.float32]


class Geometry(NamedTuple):
    """One number per latent, and one per dictionary."""

    decoder_neighbour: Floats
    """Largest cosine of a decoder row with that of another latent."""
    encoder_neighbour: Floats
    """The same of encoder columns."""
    encoder_decoder: Floats | None
    """Cosine of a latent's encoder column with its decoder row; none where these are of different spaces."""
    decoder_norm: Floats
    encoder_norm: Floats
    effective_dimensions: float
    """(Σλ)² / Σλ² of the squared singular values of the unit decoder rows, at most the width."""


def geometry(
    encoder: Float[Tensor, "d_in n_latents"], decoder: Float[Tensor, "n_latents d_out"], *, same_space: bool
) -> Geometry:
    """Return how the latents lie; a latent without a length has cosine 0 with everything.

    Source of the effective dimensions: the participation ratio, Gao et al. 2017 ("A theory of multineuronal
    dimensionality, dynamics and measurement").
    """
    rows, columns = normalize(decoder.float(), dim=1), normalize(encoder.float().T, dim=1)
    spectrum = torch.linalg.eigvalsh((rows.T @ rows).double()).clamp(min=0)
    total, squares = float(spectrum.sum()), float(spectrum.pow(2).sum())
    return Geometry(
        decoder_neighbour=nearest(rows),
        encoder_neighbour=nearest(columns),
        encoder_decoder=(rows * columns).sum(1).cpu().numpy() if same_space else None,
        decoder_norm=decoder.float().norm(dim=1).cpu().numpy(),
        encoder_norm=encoder.float().norm(dim=0).cpu().numpy(),
        effective_dimensions=total**2 / squares if squares > 0 else 0.0,
    )


def nearest(units: Float[Tensor, "n width"]) -> Floats:
    """Return for every unit row the largest inner product with another row; a single row has none and gets 0."""
    if len(units) < 2:
        return np.zeros(len(units), dtype=np.float32)
    found: list[Tensor] = []
    for start in range(0, len(units), _TILE):
        products = units[start : start + _TILE] @ units.T
        products[range(len(products)), range(start, start + len(products))] = -torch.inf
        found.append(products.amax(dim=1))
    return torch.cat(found).cpu().numpy()
