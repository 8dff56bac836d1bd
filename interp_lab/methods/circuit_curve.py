"""How much sets of edges carry, by their share of all edges: the sizes that are tried, and the areas.

Source: Mueller et al., "MIB: a mechanistic interpretability benchmark" (2025), section 3: CPR is the area under
faithfulness over the share of edges, CMD the area between it and 1; the same shares. Differs in that areas are over the
sizes that a small graph has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

SHARES: Final = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of all edges."""


class Areas(NamedTuple):
    """Both areas, of at most 1 in share."""

    kept: float
    missed: float


def sizes(n_edges: int, *also: int) -> tuple[int, ...]:
    """Return the numbers of edges that are tried, rising; `also` are sizes of interest."""
    return tuple(sorted({*(round(share * n_edges) for share in SHARES), *also}))


def areas(shares: Sequence[float], faithfulness: Sequence[float]) -> Areas:
    """Return both areas by the trapezoid rule; shares rise from 0 to 1."""
    x, y = np.asarray(shares, dtype=np.float64), np.asarray(faithfulness, dtype=np.float64)
    return Areas(float(np.trapezoid(y, x)), float(np.trapezoid(np.abs(1.0 - y), x)))
