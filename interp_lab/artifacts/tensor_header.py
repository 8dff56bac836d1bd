"""Looking at a safetensors file before anything loads it: the header alone, with limits, every offset checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from interp_lab.artifacts.reading import parse_json
from interp_lab.errors import FileTooLarge, MalformedFile

MAX_HEADER_BYTES = 10_000_000
MAX_TENSORS = 10_000

_ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as a header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Byte offset in the data section."""
    end: int


def check_safetensors_header(path: Path) -> tuple[TensorEntry, ...]:
    """Return the tensors of a file whose header is sound, in the order of their data.

    Raises:
        MalformedFile: The header lies about its length, a type, a shape or an offset, or tensors overlap.
        FileTooLarge: The header has more than 10 MB or 10 000 tensors.
    """
    where = f"{path.name!r}"
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise MalformedFile(f"{where} is cut off or not a safetensors file.")
        if length > MAX_HEADER_BYTES:
            raise FileTooLarge(f"The header of {where} has {length} bytes; at most {MAX_HEADER_BYTES} are read.")
        header = parse_json(file.read(length), where=f"The header of {where}")
    entries = _entries(header, where)
    _check_layout(entries, size - 8 - length, where)
    return entries


def _entries(header: object, where: str) -> tuple[TensorEntry, ...]:
    if not isinstance(header, dict):
        raise MalformedFile(f"The header of {where} is not an object.")
    tensors = {name: value for name, value in cast(dict[str, Any], header).items() if name != "__metadata__"}
    if len(tensors) > MAX_TENSORS:
        raise FileTooLarge(f"{where} has {len(tensors)} tensors; at most {MAX_TENSORS} are read.")
    entries = (_entry(name, value, where) for name, value in tensors.items())
    return tuple(sorted(entries, key=lambda entry: (entry.start, entry.end)))


def _entry(name: str, value: Any, where: str) -> TensorEntry:
    try:
        shape = tuple(_natural(item) for item in value["shape"])
        start, end = (_natural(item) for item in value["data_offsets"])
        bits = _ITEM_BITS[value["dtype"]]
    except (TypeError, KeyError, ValueError) as error:
        raise MalformedFile(f"The header of {where} does not describe tensor {name[:80]!a}.") from error
    if (end - start) * 8 != math.prod(shape) * bits:
        raise MalformedFile(f"Tensor {name[:80]!a} of {where} does not have the bytes of its shape.")
    return TensorEntry(name, value["dtype"], shape, start, end)


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value


def _check_layout(entries: tuple[TensorEntry, ...], data_bytes: int, where: str) -> None:
    position = 0
    for entry in entries:
        if entry.start != position:
            raise MalformedFile(f"Tensor {entry.name[:80]!a} of {where} overlaps another or leaves a gap.")
        position = entry.end
    if position != data_bytes:
        raise MalformedFile(f"{where} has {data_bytes} bytes of data; its header describes {position}.")
