"""Rounding float32 to what a column stores and back, bit for bit as IEEE 754 says, without torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import StoreDtype

Float32s = NDArray[np.float32]
Raw = NDArray[Any]
"""Values as they are stored: uint16 bit patterns for bfloat16, numpy's own types otherwise."""

_BLOCK = 1 << 16
_MAGNITUDE = np.uint32(0x7FFF_FFFF)


class NumberFormat(NamedTuple):
    """One way to store a number."""

    tag: str
    """Its name in a safetensors header."""
    storage: np.dtype[Any]
    """The numpy type of the stored bits."""
    limit: np.uint32
    """Bits of the least float32 magnitude that is NaN, infinite, or would be rounded to infinity."""


FORMATS: dict[StoreDtype, NumberFormat] = {
    "bfloat16": NumberFormat("BF16", np.dtype("<u2"), np.uint32(0x7F7F_8000)),
    "float16": NumberFormat("F16", np.dtype("<f2"), np.uint32(0x477F_F000)),
    "float32": NumberFormat("F32", np.dtype("<f4"), np.uint32(0x7F80_0000)),
}


def encode(values: Float32s, dtype: StoreDtype) -> Raw:
    """Return the stored form of finite values that fit, rounded to nearest, ties to even; see `first_unstorable`.

    It may share memory with the values where nothing has to be rounded.
    """
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    if dtype != "bfloat16":
        return flat.astype(FORMATS[dtype].storage, copy=False).reshape(values.shape)
    out = np.empty(flat.size, np.uint16)
    scratch = np.empty(min(_BLOCK, flat.size), np.uint32)
    for start in range(0, flat.size, _BLOCK):
        bits = flat[start : start + _BLOCK].view(np.uint32)
        sums = scratch[: bits.size]
        np.right_shift(bits, 16, out=sums)
        np.bitwise_and(sums, 1, out=sums)
        np.add(sums, 0x7FFF, out=sums)
        np.add(sums, bits, out=sums)
        np.right_shift(sums, 16, out=sums)
        out[start : start + _BLOCK] = sums
    return out.reshape(values.shape)


def decode(raw: Raw, dtype: StoreDtype) -> Float32s:
    """Return stored values as float32, exactly, in an array of their own."""
    if dtype != "bfloat16":
        return raw.astype(np.float32)
    bits = raw.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def first_unstorable(values: Float32s, dtype: StoreDtype) -> int | None:
    """Return the flat index of the first value that is not finite or too large for the format, or None."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    scratch = np.empty(min(_BLOCK, flat.size), np.uint32)
    for start in range(0, flat.size, _BLOCK):
        bits = flat[start : start + _BLOCK].view(np.uint32)
        magnitude = np.bitwise_and(bits, _MAGNITUDE, out=scratch[: bits.size])
        if magnitude.max() >= FORMATS[dtype].limit:
            return start + int(np.argmax(magnitude >= FORMATS[dtype].limit))
    return None
