"""Whole numbers in as few bytes as their range needs: two bytes each, and a third only beyond 65,536."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]
_LOW = 2**16


def split(name: str, numbers: Integers, n_values: int) -> dict[str, Integers]:
    """Return arrays that hold numbers below `n_values` (at most 2**24): the low 16 bits, and the next 8 if needed."""
    parts: dict[str, Integers] = {f"{name}.low": numbers.astype(np.uint16)}
    if n_values > _LOW:
        parts[f"{name}.high"] = (numbers >> 16).astype(np.uint8)
    return parts


def layout(name: str, size: int, n_values: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the tensors that `split` writes for `size` numbers: safetensors type and shape by name."""
    low: dict[str, tuple[str, tuple[int, ...]]] = {f"{name}.low": ("U16", (size,))}
    return low | {f"{name}.high": ("U8", (size,))} if n_values > _LOW else low


def joined(
    tensors: Mapping[str, Integers], name: str, part: slice | Integers, dtype: type[np.signedinteger[Any]]
) -> Integers:
    """Return some of the numbers, a slice or by their places, as signed integers."""
    numbers = tensors[f"{name}.low"][part].astype(dtype)
    if (high := tensors.get(f"{name}.high")) is not None:
        numbers += high[part].astype(dtype) << 16
    return numbers
