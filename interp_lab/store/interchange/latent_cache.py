"""Latent caches in delphi's layout into a store: a folder of START_END.safetensors for one module.

`locations` (n, 3) says sequence, position and latent counted from START; `activations` (n,) are the values; `tokens`
(sequences, positions) are the same in every file. END is the last latent of the file, inclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.reading import read_json
from interp_lab.artifacts.tensor_header import check_safetensors_header
from interp_lab.contracts.store import CodeColumn, StoredDataset, StoredModel, StoreDtype, StoreHeader
from interp_lab.errors import DuplicateRows, MalformedFile, NonFiniteInput, RaggedRows
from interp_lab.points import Address
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.interchange.incoming import Incoming, IncomingPrompt, imported_from

CONFIG = "config.json"
SHARD_NAME = re.compile(r"([0-9]{1,8})_([0-9]{1,8})\.safetensors")
_BLOCK_ROWS = 8192
_CHECKED_AT_ONCE = 1 << 20
"""Entries of a mapped file that are looked at together, so that no copy of the file is made."""
_NUMPY = {"U8": "u1", "U16": "<u2", "U32": "<u4", "I32": "<i4", "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4"}


_Cells = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]
"""Row, latent and value of what is active."""


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """The latents of one file."""

    name: str
    first: int
    last: int
    locations: NDArray[Any]
    activations: NDArray[Any]
    tokens: NDArray[Any] | None

    def rows(self, start: int, stop: int, length: int) -> _Cells:
        """Return what is active in rows `start:stop`; whole sequences."""
        bounds = np.searchsorted(self.locations[:, 0], [start // length, -(-stop // length)])
        found = self.locations[bounds[0] : bounds[1]].astype(np.int64)
        return found[:, 0] * length + found[:, 1], found[:, 2] + self.first, self.activations[bounds[0] : bounds[1]]


def read_latent_cache(
    files: Sequence[Path],
    *,
    name: str,
    address: Address,
    dictionary: str = "delphi",
    model: str | None = None,
    dtype: StoreDtype = "float32",
) -> Incoming:
    """Return the cache that these files of one folder hold.

    Raises:
        MalformedFile: A file is damaged, is not what its name says, or a location is outside of it.
        RaggedRows: The files overlap, leave a gap, or were made on different tokens.
        DuplicateRows: A latent stands twice at one token.
        NonFiniteInput: A value is NaN or infinite.
    """
    splits = _splits(files, name)
    config = _config(files)
    tokens = splits[0].tokens
    n_sequences, length = tokens.shape if tokens is not None else _extent(splits, config)
    model_id = model or config.get("model_name")
    header = StoreHeader(
        title=f"latent cache {name}"[:200],
        model=StoredModel(id=model_id) if isinstance(model_id, str) else None,
        dataset=StoredDataset(name=str(config.get("dataset_repo") or name)),
        columns=(CodeColumn(address=address, dictionary=dictionary, width=splits[-1].last + 1, dtype=dtype),),
        settings={**imported_from("delphi", name, None), "config": config},
    )
    return Incoming(
        header=header,
        blocks=_blocks(splits, header.columns[0].key, n_sequences, length),
        prompts=[IncomingPrompt(f"sequence-{number}") for number in range(n_sequences)],
        sources={header.columns[0].key: name},
        notes=("The cache does not say which sequences are near-duplicates or which tokens are special.",),
    )


def _splits(files: Sequence[Path], name: str) -> list[_Split]:
    found = [_split(path, match) for path in files if (match := SHARD_NAME.fullmatch(path.name))]
    found.sort(key=lambda split: split.first)
    if not found:
        raise MalformedFile(f"{name} has no file called START_END.safetensors.")
    ends = [-1, *(split.last for split in found)]
    for split, before in zip(found, ends, strict=False):
        if split.first != before + 1 or split.last < split.first:
            raise RaggedRows(f"{split.name} begins at latent {split.first}; the files before it end with {before}.")
    for split in found[1:]:
        if not _same(split.tokens, found[0].tokens):
            raise RaggedRows(f"{split.name} was made on other tokens than {found[0].name}.")
    return found


def _split(path: Path, match: re.Match[str]) -> _Split:
    entries = check_safetensors_header(path)
    data = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
    start = data.size - entries[-1].end
    tensors: dict[str, NDArray[Any]] = {}
    for entry in entries:
        if entry.dtype not in _NUMPY:
            raise MalformedFile(f"{path.name}: {entry.name[:80]!r} has the number format {entry.dtype}.")
        tensors[entry.name] = (
            data[start + entry.start : start + entry.end].view(_NUMPY[entry.dtype]).reshape(entry.shape)
        )
    return _checked(path.name, (int(match[1]), int(match[2])), tensors)


def _checked(name: str, span: tuple[int, int], tensors: Mapping[str, NDArray[Any]]) -> _Split:
    locations, values, tokens = (tensors.get(part) for part in ("locations", "activations", "tokens"))
    if locations is None or values is None or locations.shape != (*values.shape, 3) or values.ndim != 1:
        raise MalformedFile(f"{name} does not hold locations (n, 3) and activations (n,).")
    if locations.dtype.kind not in "iu" or values.dtype.kind != "f" or (tokens is not None and tokens.ndim != 2):
        raise MalformedFile(f"{name} holds locations, activations or tokens of another type.")
    _refuse_non_finite(name, values)
    if len(locations) and (int(locations.min()) < 0 or int(locations[:, 2].max()) > span[1] - span[0]):
        raise MalformedFile(f"{name} has a latent outside of {span[0]} to {span[1]}.")
    if tokens is not None and len(locations) and (locations[:, :2].max(axis=0) >= tokens.shape).any():
        raise MalformedFile(f"{name} has a location outside of its {tokens.shape} tokens.")
    if not _in_order(locations[:, 0]):
        order = np.argsort(locations[:, 0], kind="stable")
        locations, values = locations[order], values[order]
    return _Split(name, *span, locations, values, tokens)


def _refuse_non_finite(name: str, values: NDArray[Any]) -> None:
    for start in range(0, len(values), _CHECKED_AT_ONCE):
        finite = np.isfinite(values[start : start + _CHECKED_AT_ONCE])
        if not finite.all():
            raise NonFiniteInput(f"{name}: activation {start + int(np.argmin(finite))} is not finite.")


def _in_order(sequences: NDArray[Any]) -> bool:
    """Whether no sequence number is smaller than the one before it."""
    for start in range(0, len(sequences), _CHECKED_AT_ONCE):
        part = sequences[start : start + _CHECKED_AT_ONCE + 1]
        if (part[1:] < part[:-1]).any():
            return False
    return True


def _same(tokens: NDArray[Any] | None, others: NDArray[Any] | None) -> bool:
    if tokens is None or others is None:
        return tokens is others
    return np.array_equal(tokens, others)


def _config(files: Sequence[Path]) -> dict[str, Any]:
    path = next((path for path in files if path.name == CONFIG), None)
    if path is None:
        return {}
    with path.open("rb") as file:
        value = read_json(file, where=CONFIG)
    return value if isinstance(value, dict) else {}


def _extent(splits: Sequence[_Split], config: Mapping[str, Any]) -> tuple[int, int]:
    """Return sequences and positions of a cache without tokens."""
    length, total = config.get("ctx_len"), config.get("n_tokens")
    if not isinstance(length, int) or not isinstance(total, int) or length < 1 or total < length:
        raise MalformedFile("The cache has no tokens, and its config.json no ctx_len and n_tokens.")
    shape = (total // length, length)
    for split in splits:
        if len(split.locations) and (split.locations[:, :2].max(axis=0) >= shape).any():
            raise MalformedFile(f"{split.name} has a location outside of the {shape} tokens that config.json says.")
    return shape


def _blocks(splits: Sequence[_Split], key: str, n_sequences: int, length: int) -> Iterator[RowBlock]:
    step = max(1, _BLOCK_ROWS // length)
    tokens = splits[0].tokens
    for first in range(0, n_sequences, step):
        last = min(first + step, n_sequences)
        start, stop = first * length, last * length
        rows: dict[str, Any] = {
            "prompt": np.repeat(np.arange(first, last), length),
            "position": np.tile(np.arange(length), last - first),
        }
        if tokens is not None:
            rows["token_id"] = tokens[first:last].reshape(-1).astype(np.int64)
        yield RowBlock(rows, {key: _block([split.rows(start, stop, length) for split in splits], start, stop)})


def _block(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]], start: int, stop: int
) -> CodeBlock:
    rows, latents, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.lexsort((latents, rows))
    rows, latents = rows[order] - start, latents[order]
    twice = np.flatnonzero((np.diff(rows) == 0) & (np.diff(latents) == 0))
    if twice.size:
        raise DuplicateRows(f"Latent {latents[twice[0]]} stands twice at row {rows[twice[0]] + start}.")
    indptr = np.searchsorted(rows, np.arange(stop - start + 1)).astype(np.int64)
    return CodeBlock(indptr, latents.astype(np.int32), values[order].astype(np.float32))
