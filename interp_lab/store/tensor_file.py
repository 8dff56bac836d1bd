"""Safetensors files written a piece at a time and read through the page cache; the library needs them whole in memory.

The layout is the library's: eight bytes of length, a JSON header padded with spaces, the data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.tensor_header import check_safetensors_header
from interp_lab.errors import LabError, StoreCorrupt

Array = NDArray[Any]
Layout = tuple[str, tuple[int, ...]]
"""Number format and shape of a tensor."""

_ALIGNMENT = 64
GROWING_HEADER_BYTES = 256
_NUMPY = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "U8": "|u1", "U16": "<u2", "U32": "<u4", "I64": "<i8"}
_TAGS = {"f2": "F16", "f4": "F32", "u1": "U8", "u2": "U16", "u4": "U32", "i8": "I64"}


class TensorSpec(NamedTuple):
    """What a header says of one tensor."""

    name: str
    tag: str
    """Number format as safetensors names it."""
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * np.dtype(_NUMPY[self.tag]).itemsize


def tag_of(array: Array) -> str:
    """Return the safetensors name of an array's type; bit patterns of bfloat16 are named by the caller."""
    return _TAGS[array.dtype.str[1:]]


def header_of(specs: Iterable[TensorSpec], *, size: int | None = None) -> bytes:
    """Return the bytes before the data, padded to `size` or to a multiple of 64."""
    entries: dict[str, object] = {}
    position = 0
    for spec in specs:
        end = position + spec.n_bytes
        entries[spec.name] = {"dtype": spec.tag, "shape": list(spec.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    total = size or -(-(8 + len(text)) // _ALIGNMENT) * _ALIGNMENT
    return (total - 8).to_bytes(8, "little") + text.ljust(total - 8)


class GrowingTensor:
    """A file of one tensor `(n_rows, width)` named 'values' to which rows are appended; its header comes last."""

    def __init__(self, path: Path, tag: str, width: int) -> None:
        self._spec = TensorSpec("values", tag, (0, width))
        self._file = path.open("wb")
        self._file.seek(GROWING_HEADER_BYTES)
        self._n_rows = 0

    def append(self, raw: Array) -> None:
        """Append rows `(n, width)` in their stored form."""
        self._file.write(np.ascontiguousarray(raw).data)
        self._n_rows += len(raw)

    def seal(self) -> None:
        """Write the header and close the file."""
        self._file.seek(0)
        spec = self._spec._replace(shape=(self._n_rows, self._spec.shape[1]))
        self._file.write(header_of([spec], size=GROWING_HEADER_BYTES))
        self._file.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()


def create_tensors(path: Path, specs: Iterable[TensorSpec]) -> dict[str, Array]:
    """Return writable mapped arrays of a new file, zero everywhere."""
    specs = tuple(specs)
    header = header_of(specs)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + sum(spec.n_bytes for spec in specs))
    whole = np.memmap(path, np.uint8, mode="r+")
    return {spec.name: array for spec, array in zip(specs, _cut(whole, len(header), specs), strict=True)}


def write_tensors(path: Path, tensors: Mapping[str, Array], tags: Mapping[str, str]) -> None:
    """Write a file of several tensors; `tags` names the formats that numpy does not know."""
    specs = [TensorSpec(name, tags.get(name) or tag_of(array), array.shape) for name, array in tensors.items()]
    with path.open("wb") as file:
        file.write(header_of(specs))
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).data)


class MappedTensors(NamedTuple):
    """The tensors of one file, read-only and read only where they are touched."""

    file: str
    arrays: dict[str, Array]
    layout: dict[str, Layout]

    def require(self, expected: Mapping[str, Layout]) -> dict[str, Array]:
        """Return the arrays if they are those of a layout.

        Raises:
            StoreCorrupt: The file has other tensors, formats or shapes.
        """
        if self.layout != dict(expected):
            what = f"{_described(self.layout)}; the manifest promises {_described(expected)}"
            raise StoreCorrupt(f"{self.file!r} holds {what}.")
        return self.arrays


def map_tensors(path: Path) -> MappedTensors:
    """Return the tensors of a file.

    Raises:
        StoreCorrupt: The file is missing or damaged, or a format is not one that stores use.
    """
    try:
        entries = check_safetensors_header(path)
        whole = np.memmap(path, np.uint8, mode="r")
    except OSError as error:
        raise StoreCorrupt(f"{path.name!r} cannot be read: {error.strerror}.") from error
    except LabError as error:
        raise StoreCorrupt(error.what) from error
    specs = [TensorSpec(entry.name, entry.dtype, entry.shape) for entry in entries]
    if foreign := {spec.tag for spec in specs} - _NUMPY.keys():
        raise StoreCorrupt(f"{path.name!r} holds numbers of type {', '.join(sorted(foreign))}.")
    start = whole.size - sum(spec.n_bytes for spec in specs)
    arrays = {spec.name: array for spec, array in zip(specs, _cut(whole, start, specs), strict=True)}
    return MappedTensors(path.name, arrays, {spec.name: (spec.tag, spec.shape) for spec in specs})


def _cut(whole: Array, start: int, specs: Iterable[TensorSpec]) -> Iterable[Array]:
    data = whole.view(np.ndarray)
    for spec in specs:
        yield data[start : start + spec.n_bytes].view(_NUMPY[spec.tag]).reshape(spec.shape)
        start += spec.n_bytes


def _described(tensors: Mapping[str, Layout]) -> str:
    return ", ".join(f"{name} {tag} {list(shape)}" for name, (tag, shape) in sorted(tensors.items()))[:300] or "nothing"
