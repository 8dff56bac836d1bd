"""Tensors of a safetensors file as float32, read only where they are touched: one row of a decoder, not all of it.

The safetensors library reads whole tensors, and numpy has no bfloat16. Headers are checked as everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.tensor_header import check_safetensors_header
from interp_lab.errors import CorruptWeights

Float32s = NDArray[np.float32]
CHUNK_VALUES = 1 << 21
_STORAGE = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8"}


class MappedTensor(NamedTuple):
    """One tensor of one or two dimensions; every reading makes an array of its own, or looks at the file itself."""

    raw: NDArray[Any]
    """As stored; bit patterns for bfloat16."""
    tag: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.raw.shape

    def read(self, *index: Any) -> Float32s:
        """Return a part of it, chosen as numpy does."""
        part = self.raw[index] if index else self.raw
        if self.tag == "BF16":
            return (part.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return np.asarray(part, dtype=np.float32)

    def chunks(self) -> Iterator[tuple[int, Float32s]]:
        """Yield the rows in order: the number of the first, and some of them."""
        width = max(1, int(np.prod(self.shape[1:])))
        step = max(1, CHUNK_VALUES // width)
        for start in range(0, self.shape[0], step):
            yield start, self.read(slice(start, start + step))

    def times(self, vector: Float32s) -> Float32s:
        """Return the product of every row with a vector `(n_rows,)`."""
        if self.tag == "F32":
            return np.asarray(self.raw @ vector, dtype=np.float32)
        return np.concatenate([rows @ vector for _, rows in self.chunks()])


def map_matrices(path: Path) -> dict[str, MappedTensor]:
    """Return every floating-point tensor of a file by name.

    Raises:
        CorruptWeights: There is no such file, or it cannot be read.
        MalformedFile, FileTooLarge: Its header does not describe it.
    """
    try:
        entries = check_safetensors_header(path)
        whole = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
    except OSError as error:
        raise CorruptWeights(f"{path.name} cannot be read: {error.strerror}.") from error
    start = whole.size - max((entry.end for entry in entries), default=0)
    found: dict[str, MappedTensor] = {}
    for entry in entries:
        if entry.dtype in _STORAGE:
            raw = whole[start + entry.start : start + entry.end].view(_STORAGE[entry.dtype]).reshape(entry.shape)
            found[entry.name] = MappedTensor(raw, entry.dtype)
    return found
