# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The trainable tensors of a dictionary by name, and how decoder rows are measured. Who changes them is elsewhere.

`encoder (n_latents, d_in)`, `decoder (n_latents, d_out)` and `b_dec (d_out)` are everybody's; `b_enc`, `threshold`,
`b_gate`, `b_mag` and `r_mag` (all `(n_latents,)`) belong to architectures, `skip (d_out, d_in)` to transcoders.
Both matrices lie latent by latent, because training gathers rows of single latents.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Parameters = dict[str, Tensor]

_SMALLEST_NORM = 1e-8


def decoder_norms(decoder: Float[Tensor, "n_latents d_out"], widths: Sequence[int]) -> Float[Tensor, " n_latents"]:
    """Return the length of every decoder row, summed over the addresses that it writes.

    Source: for several addresses, the crosscoder penalty of Lindsey et al. 2024 ("Sparse Crosscoders").
    """
    if len(widths) == 1:
        return torch.linalg.vector_norm(decoder, dim=1)
    return torch.stack([torch.linalg.vector_norm(part, dim=1) for part in decoder.split(list(widths), dim=1)]).sum(0)


def norm_gradient(decoder: Float[Tensor, "n_latents d_out"], widths: Sequence[int]) -> Float[Tensor, "n_latents d_out"]:
    """Return the gradient of `decoder_norms` towards the decoder: unit rows, per address."""
    parts = decoder.split(list(widths), dim=1)
    return torch.cat([part / torch.linalg.vector_norm(part, dim=1, keepdim=True) for part in parts], dim=1)


def normalise_rows(matrix: Float[Tensor, "n_latents width"]) -> None:
    """Scale every row to length 1, in place."""
    matrix.div_(torch.linalg.vector_norm(matrix, dim=1, keepdim=True).clamp_(min=_SMALLEST_NORM))


def project_out_rows(
    gradient: Float[Tensor, "n_latents width"], unit_rows: Float[Tensor, "n_latents width"]
) -> Float[Tensor, "n_latents width"]:
    """Return the gradient without the part of each row that would only change a unit row's length.

    Source: Bricken et al. 2023 ("Towards Monosemanticity"), appendix on training.
    """
    along = torch.linalg.vecdot(gradient, unit_rows, dim=1)
    return torch.addcmul(gradient, unit_rows, along[:, None], value=-1.0)
