"""NumPy arrays into a store: dense `(rows, width)` or `(sequences, positions, width)`, and codes as three arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import (
    CodeColumn,
    DenseColumn,
    MetricField,
    StoredDataset,
    StoredModel,
    StoreDtype,
    StoreHeader,
)
from interp_lab.errors import DuplicateRows, InvalidRequest, LabError, MalformedFile, RaggedRows
from interp_lab.points import Address
from interp_lab.store.blocks import Block, CodeBlock, RowBlock
from interp_lab.store.interchange.array_stream import ArrayStream
from interp_lab.store.interchange.incoming import (
    Incoming,
    IncomingPrompt,
    block_rows,
    imported_from,
    label_fields,
    plain_names,
)
from interp_lab.store.interchange.label_table import LabelTable
from interp_lab.store.interchange.row_keys import first_repeat
from interp_lab.store.tables import label_column

CODE_PARTS = ("offsets", "latents", "values", "width")
"""Arrays of a code column, behind its key and a dot."""
ROW_ARRAYS = ("prompt", "position", "token_id")
"""Arrays that say what the rows are of; a CSV file with labels takes their place."""


@dataclass(frozen=True, slots=True, eq=False)
class _Dense:
    column: DenseColumn
    stream: ArrayStream

    @property
    def row_values(self) -> int:
        return self.column.width

    def read(self, n_rows: int) -> Block:
        return self.stream.read(n_rows, row_shape=(self.column.width,)).astype(np.float32)


@dataclass(slots=True, eq=False)
class _Codes:
    column: CodeColumn
    counts: NDArray[np.int64]
    """Active latents of every row."""
    latents: ArrayStream
    values: ArrayStream
    next_row: int = 0

    @property
    def row_values(self) -> int:
        return max(1, int(self.counts.max(initial=1)))

    def read(self, n_rows: int) -> Block:
        counts = self.counts[self.next_row : self.next_row + n_rows]
        self.next_row += n_rows
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        n_active = int(indptr[-1])
        latents = self.latents.read(n_active, row_shape=())
        return CodeBlock(indptr, latents, self.values.read(n_active, row_shape=()).astype(np.float32))


def read_arrays(
    arrays: Mapping[str, ArrayStream],
    *,
    name: str,
    address: Address | None = None,
    labels: LabelTable | None = None,
    model: str | None = None,
    dtype: StoreDtype = "float32",
    sha256: str | None = None,
) -> Incoming:
    """Return open arrays as rows; a nameless array (.npy) is what was read at `address`.

    Raises:
        InvalidRequest: A .npy without an address.
        MalformedFile: An array has a shape or a name that says nothing.
        RaggedRows: The arrays do not all have the same rows.
    """
    readers = _readers(arrays, name, address, dtype)
    leading = _leading(readers, name)
    table = labels or _row_arrays(arrays, name) or _sequences(leading)
    n_rows = int(np.prod(leading))
    if table.n_rows != n_rows:
        raise RaggedRows(f"{name} has {n_rows} rows; what says what they are of has {table.n_rows}.")
    plain = plain_names(table.labels, where=name)
    header = StoreHeader(
        title=f"arrays of {name}"[:200],
        row="token" if labels or len(leading) > 1 or "token_id" in arrays else "record",
        model=None if model is None else StoredModel(id=model),
        dataset=StoredDataset(name=name),
        columns=tuple(reader.column for reader in readers.values()),
        labels=label_fields({plain[key]: (value,) for key, value in table.labels.items()}, "row", where=name),
        metrics=tuple(MetricField(name=metric) for metric in table.metrics),
        settings=imported_from("numpy", name, sha256),
    )
    return Incoming(
        header=header,
        blocks=_blocks(tuple(readers.values()), table, plain),
        prompts=table.prompts,
        sources={reader.column.key: source or name for source, reader in readers.items()},
    )


def _readers(
    arrays: Mapping[str, ArrayStream], name: str, address: Address | None, dtype: StoreDtype
) -> dict[str, _Dense | _Codes]:
    if "" in arrays:
        if address is None:
            raise InvalidRequest(f"{name} is one array without a name.", remedy="Say where it was read: address.")
        return {"": _dense(arrays[""], address, name, dtype)}
    readers: dict[str, _Dense | _Codes] = {}
    for key, stream in arrays.items():
        stem, _, part = key.rpartition(".")
        if key in ROW_ARRAYS or (part in CODE_PARTS and part != "offsets" and f"{stem}.offsets" in arrays):
            continue
        if part == "offsets" and "/" in stem:
            readers[stem] = _codes(arrays, stem, name, dtype)
        else:
            readers[key] = _dense(stream, _address(key, name), name, dtype)
    if not readers:
        raise MalformedFile(f"{name} has no array of activations.")
    return readers


def _address(key: str, name: str) -> Address:
    try:
        return Address.parse(key)
    except LabError as error:
        raise MalformedFile(f"{name} has an array {key[:80]!r}, which is no address: {error.what}") from error


def _dense(stream: ArrayStream, address: Address, name: str, dtype: StoreDtype) -> _Dense:
    if len(stream.shape) not in (2, 3) or 0 in stream.shape:
        raise MalformedFile(
            f"{name} has the shape {stream.shape}; (rows, width) or (sequences, positions, width) is read."
        )
    return _Dense(DenseColumn(address=address, width=stream.shape[-1], dtype=dtype), stream)


def _codes(arrays: Mapping[str, ArrayStream], key: str, name: str, dtype: StoreDtype) -> _Codes:
    parts = [arrays.get(f"{key}.{part}") for part in CODE_PARTS]
    offsets, latents, values, width = parts
    if offsets is None or latents is None or values is None or width is None:
        raise MalformedFile(f"{name} lacks one of {', '.join(CODE_PARTS)} of {key[:80]!r}.")
    if any(stream.dtype.kind not in "iu" for stream in (offsets, latents, width)) or width.shape not in ((), (1,)):
        raise MalformedFile(
            f"{name}: offsets, latents and width of {key[:80]!r} are whole numbers, width a single one."
        )
    bounds = offsets.read_whole().astype(np.int64).reshape(-1)
    if not bounds.size:
        raise RaggedRows(f"{name}: the offsets of {key[:80]!r} are empty.")
    counts = np.diff(bounds)
    if bounds[:1].any() or (counts < 0).any() or latents.shape != values.shape or latents.shape != (bounds[-1],):
        raise RaggedRows(f"{name}: the offsets, latents and values of {key[:80]!r} do not fit.")
    address, _, dictionary = key.partition("/")
    column = CodeColumn(
        address=_address(address, name), dictionary=dictionary, width=int(width.read_whole().item()), dtype=dtype
    )
    return _Codes(column, counts, latents, values)


def _leading(readers: Mapping[str, _Dense | _Codes], name: str) -> tuple[int, ...]:
    """Return the shape of the rows, the same for every array."""
    shapes = {
        reader.stream.shape[:-1] if isinstance(reader, _Dense) else (len(reader.counts),) for reader in readers.values()
    }
    if len(shapes) > 1:
        raise RaggedRows(f"The arrays of {name} have different rows: {', '.join(map(str, sorted(shapes)))[:200]}.")
    return shapes.pop()


def _sequences(leading: tuple[int, ...]) -> LabelTable:
    """Say of rows that nothing is said of: a sequence is a prompt, and a row without a sequence is one too."""
    n_prompts, length = leading if len(leading) == 2 else (leading[0], 1)
    return LabelTable(
        prompts=tuple(IncomingPrompt(str(number)) for number in range(n_prompts)),
        prompt_of=np.repeat(np.arange(n_prompts, dtype=np.int32), length),
        position=np.tile(np.arange(length), n_prompts),
        rest=lambda _: {},
    )


def _row_arrays(arrays: Mapping[str, ArrayStream], name: str) -> LabelTable | None:
    given = {part: arrays[part] for part in ROW_ARRAYS if part in arrays}
    if "prompt" not in given or "position" not in given:
        return None
    if len({stream.shape for stream in given.values()}) > 1 or any(s.dtype.kind not in "iu" for s in given.values()):
        raise RaggedRows(f"{name}: {', '.join(given)} are not whole numbers, one for every row.")
    columns = {part: given[part].read_whole().reshape(-1) for part in ("prompt", "position")}
    ids, first, inverse = np.unique(columns["prompt"], return_index=True, return_inverse=True)
    rank = np.empty(ids.size, np.int32)
    rank[np.argsort(first)] = np.arange(ids.size)  # prompts are numbered as they come
    prompt_of, position = rank[inverse], columns["position"].astype(np.int64)
    if first_repeat(prompt_of, position) is not None:
        raise DuplicateRows(f"{name}: a prompt has the same position twice.")
    token_ids = given.get("token_id")
    return LabelTable(
        prompts=tuple(IncomingPrompt(str(prompt)) for prompt in ids[np.argsort(first)].tolist()),
        prompt_of=prompt_of,
        position=position,
        rest=(lambda _: {})
        if token_ids is None
        else lambda n: {"token_id": _known_ids(token_ids.read(n, row_shape=()))},
    )


def _known_ids(ids: NDArray[Any]) -> list[int | None]:
    return [None if token < 0 else token for token in ids.tolist()]


def _blocks(readers: tuple[_Dense | _Codes, ...], table: LabelTable, plain: Mapping[str, str]) -> Iterator[RowBlock]:
    size = block_rows(reader.row_values for reader in readers)
    names = {label_column(label): label_column(kept) for label, kept in plain.items()}
    for start in range(0, table.n_rows, size):
        stop = min(start + size, table.n_rows)
        rows: dict[str, Any] = {"prompt": table.prompt_of[start:stop], "position": table.position[start:stop]}
        rows |= {names.get(name, name): values for name, values in table.rest(stop - start).items()}
        yield RowBlock(rows, {reader.column.key: reader.read(stop - start) for reader in readers})
