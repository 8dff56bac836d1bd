"""Weight files read as data before anything trusts them: which there are, and whether their headers tell the truth.

Torch-free. Pickle formats are recognised by name only and never opened.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple, cast

from interp_lab.errors import CorruptWeights, InvalidModel, UnsafeWeights

MAX_HEADER_BYTES = 10_000_000
MAX_TENSORS = 10_000

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class Weights(NamedTuple):
    """The weight files of a model directory: names, size on disk and number of stored values."""

    files: tuple[str, ...]
    n_bytes: int
    n_parameters: int


class _Extent(NamedTuple):
    begin: int
    end: int
    n_values: int


def read_weights(directory: Path) -> Weights:
    """Return the weight files of `directory` after checking every header against its file.

    Raises:
        UnsafeWeights: There are weights, but only in a pickle format.
        InvalidModel: There are no weights.
        CorruptWeights: A header is malformed, too large, or does not describe its file.
    """
    files = _weight_files(directory)
    paths = [directory / name for name in files]
    return Weights(files, sum(path.stat().st_size for path in paths), sum(check_safetensors(path) for path in paths))


class Stored(NamedTuple):
    """One tensor as it lies on disk."""

    dtype: str
    """Number format in the words of safetensors, for example 'BF16'."""
    shape: tuple[int, ...]


def read_stored(directory: Path) -> dict[str, Stored]:
    """Return number format and shape of every tensor of a model directory, by name; headers alone are read.

    Raises:
        UnsafeWeights, InvalidModel, CorruptWeights: see `read_weights`.
    """
    found: dict[str, Stored] = {}
    for file in _weight_files(directory):
        header, _ = _header(directory / file)
        for name, entry in header.items():
            if name != "__metadata__":
                _extent(directory / file, name, entry)
                found[name] = Stored(str(entry["dtype"]), tuple(entry["shape"]))
    return found


def check_safetensors(path: Path) -> int:
    """Return how many values a safetensors file stores, after checking that its header describes the file exactly.

    Raises:
        CorruptWeights: The header is malformed, over the limits, or offsets overlap, leave gaps or leave the file.
    """
    header, n_data = _header(path)
    extents = sorted(_extent(path, name, entry) for name, entry in header.items() if name != "__metadata__")
    position = 0
    for extent in extents:
        if extent.begin != position:
            raise CorruptWeights(f"Tensors of {path.name} overlap or leave a gap at byte {position}.")
        position = extent.end
    if position != n_data:
        raise CorruptWeights(f"{path.name} holds {n_data} bytes of data; its header describes {position}.")
    return sum(extent.n_values for extent in extents)


def _weight_files(directory: Path) -> tuple[str, ...]:
    if (directory / SINGLE).is_file():
        return (SINGLE,)
    if (directory / INDEX).is_file():
        return _shards(directory)
    pickles = sorted(path.name for path in directory.iterdir() if path.suffix in _PICKLE_SUFFIXES)
    if pickles:
        raise UnsafeWeights(f"{directory.name} has its weights only as {', '.join(pickles[:3])}.")
    raise InvalidModel(f"{directory.name} has neither {SINGLE} nor {INDEX}.")


def _shards(directory: Path) -> tuple[str, ...]:
    index = read_json(directory / INDEX)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CorruptWeights(f"{INDEX} has no weight_map.")
    names = sorted({str(name) for name in cast("dict[str, object]", weight_map).values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors") or not (directory / name).is_file():
            raise CorruptWeights(f"{INDEX} names {name[:120]!r}, which is not a safetensors file beside it.")
    return tuple(names)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if size < 8 or n_header > min(MAX_HEADER_BYTES, size - 8):
            raise CorruptWeights(f"{path.name} is {size} bytes long and claims a header of {n_header}.")
        header = _parse(file.read(n_header), path.name)
    if len(header) > MAX_TENSORS:
        raise CorruptWeights(f"{path.name} claims {len(header)} tensors; the limit is {MAX_TENSORS} per file.")
    return header, size - 8 - n_header


def _extent(path: Path, name: str, entry: object) -> _Extent:
    fields = cast("dict[str, object]", entry if isinstance(entry, dict) else {})
    bits = _BITS.get(str(fields.get("dtype")))
    shape, offsets = _naturals(fields.get("shape")), _naturals(fields.get("data_offsets"))
    if bits is None or shape is None or offsets is None or len(offsets) != 2:
        raise CorruptWeights(f"{path.name} describes tensor {name[:80]!r} without a known dtype, shape and offsets.")
    begin, end = offsets
    n_values = math.prod(shape)
    if (end - begin) * 8 != n_values * bits:
        raise CorruptWeights(
            f"Tensor {name[:80]!r} of {path.name} has {end - begin} bytes, which its shape does not fit."
        )
    return _Extent(begin, end, n_values)


def _naturals(value: object) -> list[int] | None:
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    numbers = [item for item in items if type(item) is int and item >= 0]
    return numbers if len(numbers) == len(items) else None


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a small file of a model directory.

    Raises:
        InvalidModel: The file is absent or over the size limit.
        CorruptWeights: It is not one JSON object with unique keys.
    """
    if not path.is_file() or path.stat().st_size > MAX_HEADER_BYTES:
        raise InvalidModel(f"{path.name} is absent from {path.parent.name} or larger than {MAX_HEADER_BYTES} bytes.")
    return _parse(path.read_bytes(), path.name)


def _parse(data: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CorruptWeights(f"{name} does not hold one JSON object with unique keys.") from error
    if not isinstance(value, dict):
        raise CorruptWeights(f"{name} does not hold a JSON object.")
    return cast("dict[str, Any]", value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result
