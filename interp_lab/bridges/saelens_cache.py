"""Activations cached by SAELens, in and out: an Arrow dataset of sequences, a column per hook name and token_ids.

SAELens itself is not needed: the folder is that of the `datasets` library, read and written with pyarrow alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.reading import read_json
from interp_lab.contracts.store import DenseColumn, StoredDataset, StoredModel, StoreDtype, StoreHeader
from interp_lab.errors import ExportUnfit, InvalidAddress, LabError, MalformedFile, RaggedRows
from interp_lab.points import HOOK_POINTS, Address
from interp_lab.store.arrow import arrow
from interp_lab.store.blocks import RowBlock
from interp_lab.store.interchange.arrays_out import Place
from interp_lab.store.interchange.incoming import Incoming, IncomingPrompt, block_rows, imported_from
from interp_lab.store.interchange.prompt_rows import context_of, token_ids
from interp_lab.store.reader import ActivationStore

STATE, INFO = "state.json", "dataset_info.json"
DATA = "data-00000-of-00001.arrow"
TOKEN_IDS = "token_ids"  # noqa: S105 - ids of tokens, no secret
_EXTENSION = "datasets.features.features.Array2DExtensionType"
_NAME, _SERIALIZED = b"ARROW:extension:name", b"ARROW:extension:metadata"


def read_saelens(
    files: Sequence[Path], *, name: str, model: str | None = None, dtype: StoreDtype = "float32"
) -> Incoming:
    """Return the sequences of a cache, given the files of its folder.

    Raises:
        MalformedFile: The folder is not one of `datasets`, a file is missing or damaged, or a hook name is no place.
        RaggedRows: Sequences differ in length, or have another shape than the dataset says.
    """
    cache = _Cache(name, _data_files(files, name))
    columns, length = cache.columns(dtype)
    header = StoreHeader(
        title=f"cached activations {name}"[:200],
        model=None if model is None else StoredModel(id=model),
        dataset=StoredDataset(name=name),
        columns=tuple(columns.values()),
        settings=imported_from("saelens", name, None),
    )
    prompts: list[IncomingPrompt] = []
    return Incoming(
        header=header,
        blocks=cache.blocks(columns, length, prompts),
        prompts=prompts,
        sources={column.key: hook for hook, column in columns.items()},
        notes=("Sequences of the cache may span documents; each counts as one prompt.",),
    )


def write_saelens(
    store: ActivationStore, place: Place, *, keys: Sequence[str], context_size: int | None = None
) -> tuple[int, int]:
    """Write dense columns as a cache and return the rows and sequences in it.

    Rows are cut into sequences in order, across prompts; rows behind the last whole sequence are left out.

    Raises:
        UnknownColumn: The store has no such dense column.
        ExportUnfit: Prompts differ in length and no size was given.
    """
    pa = arrow()
    length = context_of(store, context_size)
    n_sequences = store.n_rows // length
    readers = {hook_name(store.dense(key).column.address): store.dense(key) for key in keys}
    ids = token_ids(store)
    fields = [_field(hook, length, reader.width) for hook, reader in readers.items()]
    features: dict[str, Any] = {
        hook: {"shape": [length, reader.width], "dtype": "float32", "_type": "Array2D"}
        for hook, reader in readers.items()
    }
    if ids is not None:
        fields.append(pa.field(TOKEN_IDS, pa.list_(pa.int32(), length)))
        features[TOKEN_IDS] = {"feature": {"dtype": "int32", "_type": "Value"}, "length": length, "_type": "List"}
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    with pa.OSFile(str(place(DATA)), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        step = max(1, block_rows(reader.width for reader in readers.values()) // length)
        for first in range(0, n_sequences, step):
            last = min(first + step, n_sequences)
            span = (first * length, last * length)
            arrays = [_sequences(reader.slice(*span), length) for reader in readers.values()]
            if ids is not None:
                arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(ids[slice(*span)], pa.int32()), length))
            stream.write_batch(pa.record_batch(arrays, schema=schema))
    _write_description(place, features, n_sequences)
    return n_sequences * length, n_sequences


def hook_name(address: Address) -> str:
    """Return what SAELens calls an address: its TransformerLens name, or the path of the module.

    Raises:
        ExportUnfit: It has neither.
    """
    if address.point == "module" and address.side == "out" and address.path:
        return address.path
    template = {point.name: point.transformer_lens for point in HOOK_POINTS}.get(address.point)
    if template is None:
        raise ExportUnfit(f"{address} has no hook name there.", remedy="Leave the column out.")
    return template.format(address.layer)


def _address(hook: str, name: str) -> Address:
    try:
        return Address.parse(hook)
    except LabError:
        try:
            return Address("module", path=hook)
        except InvalidAddress as error:
            raise MalformedFile(f"{name} has a column {hook[:80]!r}, which is no hook name.") from error


def _field(hook: str, length: int, width: int) -> Any:
    pa = arrow()
    serialized = json.dumps([[length, width], "float32"]).encode()
    metadata = {_NAME: _EXTENSION.encode(), _SERIALIZED: serialized}
    return pa.field(hook, pa.list_(pa.list_(pa.float32())), metadata=metadata)


def _sequences(values: NDArray[np.float32], length: int) -> Any:
    pa = arrow()
    n_rows, width = values.shape
    inner = pa.ListArray.from_arrays(
        np.arange(0, n_rows * width + 1, width, dtype=np.int32), pa.array(values.reshape(-1))
    )
    return pa.ListArray.from_arrays(np.arange(0, n_rows + 1, length, dtype=np.int32), inner)


def _write_description(place: Place, features: dict[str, Any], n_sequences: int) -> None:
    state: dict[str, Any] = {
        "_data_files": [{"filename": DATA}],
        "_fingerprint": hashlib.sha256(json.dumps([features, n_sequences]).encode()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    info: dict[str, Any] = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    for name, value in ((STATE, state), (INFO, info)):
        place(name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _data_files(files: Sequence[Path], name: str) -> list[Path]:
    """Return the Arrow files that state.json lists, in its order."""
    by_name = {path.name: path for path in files}
    if STATE not in by_name:
        raise MalformedFile(f"{name} has no {STATE}: it is not a folder that `datasets` saved.")
    with by_name[STATE].open("rb") as file:
        state = read_json(file, where=STATE)
    listed = state.get("_data_files") if isinstance(state, dict) else None
    names = [entry.get("filename") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if not names or not all(isinstance(entry, str) and entry in by_name for entry in names):
        raise MalformedFile(f"{name} lacks a file that its {STATE} lists.")
    return [by_name[str(entry)] for entry in names]


@dataclass(frozen=True, slots=True)
class _Cache:
    """The Arrow files of one folder."""

    name: str
    files: list[Path]

    def columns(self, dtype: StoreDtype) -> tuple[dict[str, DenseColumn], int]:
        """Return the column of every hook name, and the length of a sequence."""
        first = next(self._batches(1), None)
        if first is None or not first.num_rows:
            raise MalformedFile(f"{self.name} has no sequences.")
        found: dict[str, DenseColumn] = {}
        lengths: set[int] = set()
        for hook in first.schema.names:
            if hook == TOKEN_IDS:
                continue
            values, length = _matrix(first.column(hook), f"{self.name}, {hook[:80]!r}")
            found[hook] = DenseColumn(address=_address(hook, self.name), width=values.shape[1], dtype=dtype)
            lengths.add(length)
        if len(lengths) != 1:
            raise RaggedRows(f"{self.name} has columns of different lengths, or none: {sorted(lengths)}.")
        return found, lengths.pop()

    def blocks(self, columns: dict[str, DenseColumn], length: int, prompts: list[IncomingPrompt]) -> Iterator[RowBlock]:
        """Yield the rows of every sequence, and note each as a prompt."""
        step = max(1, block_rows(column.width for column in columns.values()) // length)
        for batch in self._batches(step):
            first, n = len(prompts), int(batch.num_rows)
            rows: dict[str, Any] = {
                "prompt": np.repeat(np.arange(first, first + n), length),
                "position": np.tile(np.arange(length), n),
            }
            values: dict[str, Any] = {}
            for hook, column in columns.items():
                where = f"{self.name}, {hook[:80]!r}"
                values[column.key], found = _matrix(batch.column(hook), where)
                if found != length or values[column.key].shape[1] != column.width:
                    raise RaggedRows(f"{where} has sequences of another shape than ({length}, {column.width}).")
            if TOKEN_IDS in batch.schema.names:
                rows["token_id"] = _flat(batch.column(TOKEN_IDS)).to_numpy()
            prompts.extend(IncomingPrompt(f"sequence-{number}") for number in range(first, first + n))
            yield RowBlock(rows, values)

    def _batches(self, step: int) -> Iterator[Any]:
        """Yield the sequences of all files, at most `step` at a time: a file may be one batch."""
        pa = arrow()
        for path in self.files:
            try:
                with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
                    for batch in stream:
                        yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))
            except (pa.ArrowException, OSError) as error:
                raise MalformedFile(f"{path.name} is not an Arrow stream: {str(error)[:120]}.") from error


def _matrix(array: Any, where: str) -> tuple[NDArray[Any], int]:
    """Return sequences as rows `(n * length, width)`, and their length."""
    pa = arrow()
    array = getattr(array, "storage", array)
    if not pa.types.is_list(array.type) or not pa.types.is_list(array.type.value_type):
        raise MalformedFile(f"{where} holds {array.type}, not sequences of vectors.")
    inner = array.flatten()
    length = _only(array.value_lengths(), where)
    width = _only(inner.value_lengths(), where)
    flat = inner.flatten()
    if flat.null_count or not pa.types.is_floating(flat.type):
        raise MalformedFile(f"{where} has gaps, or holds {flat.type}.")
    return flat.to_numpy().reshape(-1, width), length


def _only(lengths: Any, where: str) -> int:
    found = lengths.unique().to_pylist()
    if len(found) != 1 or not found[0]:
        raise RaggedRows(f"{where} has sequences or vectors of different lengths: {str(found)[:80]}.")
    return int(found[0])


def _flat(array: Any) -> Any:
    return getattr(array, "storage", array).flatten()
