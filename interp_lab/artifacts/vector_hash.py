"""The hash by which one direction is known in every record that is about it."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def vector_hash(unit: NDArray[np.float32]) -> str:
    """Return the hash of the float32 numbers."""
    return hashlib.sha256(np.ascontiguousarray(unit, dtype="<f4").tobytes()).hexdigest()
