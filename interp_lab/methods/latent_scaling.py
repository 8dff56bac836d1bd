"""Is a crosscoder latent that only one model seems to have really that model's alone?

An L1 penalty makes latents look exclusive that are not. Complete shrinkage: the other model has the concept, but its
decoder row was driven to zero, so the concept stays in that model's error. Latent decoupling: the other model has it
under another latent, so it is in that model's reconstruction. Latent scaling asks both: how much of the latent, scaled
by the best factor, is in the other model's error, and how much in its reconstruction, relative to its own model.

Source: Minder, Dumas, Juang, Chughtai and Nanda (2025), "Overcoming sparsity artifacts in crosscoders to interpret chat
tuning", latent scaling. Their ratios nu of errors and of reconstructions; their thresholds 0.2 and 0.5.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.arrays import Floats

LEAST_ERROR, LEAST_RECONSTRUCTION = 0.2, 0.5
"""Ratios from which a latent is not its model's alone."""
EXCLUSIVE = 0.1
"""A share of decoder length below it, or above one less it, makes a latent look exclusive."""
Owner = Literal["base", "changed", "shared", "between"]
Artefact = Literal["complete_shrinkage", "latent_decoupling"]
Values = NDArray[np.floating[Any]]


class Side(NamedTuple):
    """One model beside a crosscoder, with what is the same for all latents."""

    values: Values
    """Activations `(n_tokens, d)`."""
    decoder: Values
    """Its rows `(n_latents, d)`."""
    bias: Values
    """`(d,)`."""
    reconstruction: Values
    """What all latents together say, without the bias, `(n_tokens, d)`."""


class Scaling(NamedTuple):
    """Ratios of one latent; 0 where it is its model's alone, 1 where the other model has it as much."""

    error: float
    reconstruction: float

    @property
    def artefact(self) -> Artefact | None:
        """Why it is not its model's alone; None where it is."""
        if self.error >= LEAST_ERROR:
            return "complete_shrinkage"
        return "latent_decoupling" if self.reconstruction >= LEAST_RECONSTRUCTION else None


def decoder_share(base: ArrayLike, changed: ArrayLike) -> Floats:
    """Return the share of the changed model in the decoder length of every latent `(n_latents,)`; 0.5 where equal.

    Rows are `(n_latents, d_base)` and `(n_latents, d_changed)`.
    """
    one, two = (np.linalg.norm(np.asarray(each, dtype=np.float64), axis=1) for each in (base, changed))
    return np.divide(two, one + two, out=np.full(len(one), 0.5), where=one + two > 0)


def owner_of(share: float) -> Owner:
    """Return which model a latent looks to belong to."""
    if share <= EXCLUSIVE or share >= 1 - EXCLUSIVE:
        return "base" if share <= EXCLUSIVE else "changed"
    return "shared" if abs(share - 0.5) <= 0.2 else "between"


def side_of(codes: Values, values: Values, decoder: Values, bias: Values) -> Side:
    """Return one model as all its latents are scaled: activations `(n_tokens, d)` beside what `codes` say of them.

    `codes` are `(n_tokens, n_latents)`, `decoder` is `(n_latents, d)` and `bias` `(d,)`. The product, the only large
    one, is of the precision of what is given and is made once.
    """
    return Side(values, decoder, bias, codes @ decoder)


def latent_scaling(codes: Values, latent: int, own: Side, other: Side) -> Scaling:
    """Return the ratios of a latent, from `codes` `(n_tokens, n_latents)`.

    `own` is the model that the latent looks to belong to, `other` the other one; they must be equally wide.

    Raises:
        ShapeMismatch: The models are not equally wide.
    """
    if own.decoder.shape != other.decoder.shape:
        raise ShapeMismatch("Latents are scaled between models of one width.")
    rows = np.flatnonzero(codes[:, latent])  # all that follows is weighted by the latent, which is 0 elsewhere
    active = codes[rows, latent].astype(np.float64)
    direction = own.decoder[latent].astype(np.float64)
    factors = [_factors(active, rows, direction, side=side, latent=latent) for side in (own, other)]
    return Scaling(*(_ratio(theirs_has, mine_has) for mine_has, theirs_has in zip(*factors, strict=True)))


def _factors(
    active: Floats, rows: NDArray[np.intp], direction: Floats, *, side: Side, latent: int
) -> tuple[float, float]:
    """Best factors of the latent in what the rest leaves over, and in the reconstruction."""
    x, whole = (part[rows].astype(np.float64) for part in (side.values, side.reconstruction))
    contribution = active[:, None] * side.decoder[latent].astype(np.float64)
    left_over = x - side.bias.astype(np.float64) - (whole - contribution)
    length = float((active**2).sum() * (direction @ direction))
    if length <= 0:
        return 0.0, 0.0
    return float(active @ (left_over @ direction)) / length, float(active @ (whole @ direction)) / length


def _ratio(part: float, whole: float) -> float:
    return 0.0 if abs(whole) < 1e-9 else float(np.clip(part / whole, -1.0, 2.0))
