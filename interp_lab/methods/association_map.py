"""All coordinates of a run on one map: how many lie where in AUROC and q, so that a plot can show every one of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT, HIGHEST = 0.01, 0.2, 12.0
"""Size of a cell in AUROC and in -log10 of q, and where q is cut off."""


class MapCell(NamedTuple):
    """One cell that is not empty."""

    auroc: float
    """Its middle."""
    log_q: float
    """-log10 of q in its middle."""
    n: int


def association_map(auroc: ArrayLike, q: ArrayLike) -> tuple[MapCell, ...]:
    """Return the cells that hold anything, from left to right and upwards; values that are not finite are left out."""
    across, upwards = np.asarray(auroc, dtype=np.float64), np.asarray(q, dtype=np.float64)
    kept = np.isfinite(across) & np.isfinite(upwards)
    heights = np.minimum(-np.log10(np.maximum(upwards[kept], 10**-HIGHEST)), HIGHEST)
    columns = np.floor(across[kept] / WIDTH).astype(np.int64)
    rows = np.floor(np.maximum(heights, 0.0) / HEIGHT).astype(np.int64)
    cells, counts = np.unique(np.stack([columns, rows]), axis=1, return_counts=True)
    return tuple(
        MapCell(round((int(c) + 0.5) * WIDTH, 4), round((int(r) + 0.5) * HEIGHT, 4), int(n))
        for c, r, n in zip(cells[0], cells[1], counts, strict=True)
    )
