"""Numbers as cards show them: four significant digits, always finite."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

DIGITS = 4


def rounded(value: float) -> float:
    """Return a number with four significant digits; infinities become the largest number there is."""
    return float(f"{float(np.nan_to_num(value)):.{DIGITS}g}")


def all_rounded(values: Iterable[float]) -> tuple[float, ...]:
    """Return every number rounded."""
    return tuple(rounded(value) for value in values)
