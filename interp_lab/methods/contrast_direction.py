"""Directions from how two sets of activations differ. Which rows make them is decided by the caller."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import InvalidRequest
from interp_lab.statistics.arrays import Floats, checked_matrix


def difference_of_means(values: ArrayLike, positive: ArrayLike) -> Floats:
    """Return the mean of positive rows less that of the others, `(width,)`, of `values` `(n_rows, width)`.

    Source: Marks and Tegmark (2023, §5.1); contrastive activation addition, Rimsky et al. (2024).
    """
    on = np.asarray(positive, dtype=np.bool_)
    matrix = checked_matrix(values, on.size).astype(np.float64)
    return matrix[on].mean(axis=0) - matrix[~on].mean(axis=0)


def contrastive_pca(on: ArrayLike, off: ArrayLike) -> Floats:
    """Return the unit direction along which pairs of rows differ most, `(width,)`, pointing towards `on`.

    `on` and `off` `(n_pairs, width)` hold the two rows of each pair.

    Raises:
        InvalidRequest: There are fewer than two pairs, or none differs.

    Source: representation reading, Zou et al. (2023, §3.1), as in repeng. We do not centre the differences first:
    centring would take away the very direction in which all pairs agree.
    """
    first = np.asarray(on)
    differences = checked_matrix(first, first.shape[0]).astype(np.float64) - checked_matrix(off, first.shape[0])
    if len(differences) < 2 or not differences.any():
        raise InvalidRequest(
            f"{len(differences)} pairs of prompts on the explore side do not give a principal direction.",
            remedy="Give prompts with 'pair', or use method difference_of_means.",
        )
    _, _, rows = np.linalg.svd(differences, full_matrices=False)
    direction = rows[0]
    return direction if float((differences @ direction).mean()) >= 0 else -direction
