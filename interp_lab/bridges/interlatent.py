"""An Interlatent SQLite database into a store: read only, one pass in key order, no vector ever made up.

Layer `llm.layer.N` is hidden state N, the residual stream that enters block N, so its address is `resid_pre.N`; the
last hidden state is taken after the final norm and gets the name of a block that does not exist. `PATH:pre` and
`PATH:post` are input and output of a module. Rows of a latent layer carry another step than those they were made from
and are joined by prompt and token.
"""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import DenseColumn, MetricField, StoredDataset, StoredModel, StoreDtype, StoreHeader
from interp_lab.errors import LabError, MalformedFile, RaggedRows, RowsNotAligned
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.interchange.incoming import (
    Incoming,
    IncomingPrompt,
    block_rows,
    imported_from,
    label_fields,
    plain_names,
)
from interp_lab.store.tables import label_column, metric_column

_OPTIONAL = ("prompt", "prompt_index", "token_index", "token", "context")
_KNOWN = frozenset(
    {
        "prompt_text",
        "token_id",
        "layer_index",
        "channel",
        "token_index",
        "prompt_index",
        "batch_offset",
        "step",
        "metrics",
    }
)
_HIDDEN = re.compile(r"llm\.layer\.([0-9]{1,4})")


class _Vector(NamedTuple):
    """All channels of one layer at one row."""

    layer: str
    run: str
    step: int
    prompt: str | None
    prompt_index: int | None
    token_index: int | None
    token: str | None
    context: str | None
    values: NDArray[np.float32]

    @property
    def key(self) -> tuple[str, int, int]:
        """What vectors of two layers that belong together share."""
        if self.prompt_index is None or self.token_index is None:
            return self.run, -1, self.step
        return self.run, self.prompt_index, self.token_index

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"run {self.run[:40]!r}, step {self.step}, layer {self.layer[:80]!r}"


class _Said(NamedTuple):
    """What a context says of its row."""

    token_id: int | None
    metrics: dict[str, float]
    labels: dict[str, Any]


@dataclass(slots=True)
class _Inventory:
    """What the rows of the first layer say, found in the first pass."""

    prompts: dict[tuple[str, int], IncomingPrompt] = field(default_factory=dict[tuple[str, int], IncomingPrompt])
    metrics: dict[str, None] = field(default_factory=dict[str, None])
    labels: dict[str, dict[type, Any]] = field(default_factory=dict[str, dict[type, Any]])
    """A value of every type that a label has."""
    tokens: bool = True


@dataclass(frozen=True, slots=True)
class _Names:
    """Names in the database → names in the store."""

    metrics: dict[str, str]
    labels: dict[str, str]


def read_interlatent(
    path: Path, *, name: str, layers: Sequence[str] = (), model: str | None = None, dtype: StoreDtype = "float32"
) -> Incoming:
    """Return the layers of a database as columns; all of them, or those that are named.

    Raises:
        MalformedFile: Not such a database, no such layer, or a row that is not JSON; the row is named.
        RaggedRows: A vector lacks a channel, has one that others have not, or a channel is not one number.
        RowsNotAligned: Two layers do not have the same rows.
    """
    database = _Database(path, name)
    chosen = database.chosen(layers)
    columns = {
        layer: DenseColumn(address=address_of(layer), width=database.width(layer), dtype=dtype) for layer in chosen
    }
    if len({column.key for column in columns.values()}) < len(columns):
        raise MalformedFile(f"{name} has two layers whose addresses are the same.")
    found = _take_stock(database.vectors(chosen[0]), name)
    metrics, labels = plain_names(found.metrics, where=name), plain_names(found.labels, where=name)
    header = StoreHeader(
        title=f"Interlatent database {name}"[:200],
        row="token" if found.tokens else "step",
        model=None if model is None else StoredModel(id=model),
        dataset=StoredDataset(name=name),
        columns=tuple(columns.values()),
        labels=label_fields({labels[key]: seen.values() for key, seen in found.labels.items()}, "row", where=name),
        metrics=tuple(MetricField(name=metrics[key]) for key in found.metrics),
        settings=imported_from("interlatent", name, None),
    )
    return Incoming(
        header=header,
        blocks=_blocks(database, columns, found, _Names(metrics, labels)),
        prompts=list(found.prompts.values()),
        sources={column.key: layer for layer, column in columns.items()},
        notes=tuple(_notes(chosen, found)),
    )


def address_of(layer: str) -> Address:
    """Return the address of a layer; see the module.

    Raises:
        MalformedFile: The name cannot be part of an address.
    """
    if hidden := _HIDDEN.fullmatch(layer):
        return Address("resid_pre", int(hidden[1]))
    path, colon, side = layer.rpartition(":")
    paired = colon and side in ("pre", "post")
    plain = re.sub(r"[^A-Za-z0-9_]+", ".", path if paired else layer).strip(".")
    try:
        return Address("module", path=plain, side="in" if paired and side == "pre" else "out")
    except LabError as error:
        raise MalformedFile(f"The layer name {layer[:80]!r} cannot be an address.") from error


@dataclass(frozen=True, slots=True)
class _Database:
    """One file, opened anew for every pass and never written."""

    path: Path
    name: str

    def chosen(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the layers that were named, or all."""
        with closing(self._connect()) as connection:
            self._columns(connection)
            rows = self._fetched(connection, "SELECT DISTINCT layer FROM activations ORDER BY layer")
            there = [str(row[0]) for row in rows]
        missing = [layer for layer in layers if layer not in there]
        if missing or not there:
            raise MalformedFile(f"{self.name} has the layers {', '.join(there)[:400]}; not {', '.join(missing)[:200]}.")
        return tuple(layers or there)

    def width(self, layer: str) -> int:
        """Return the channels of the first vector of a layer."""
        with closing(self.vectors(layer)) as vectors:
            return len(next(vectors).values)

    def vectors(self, layer: str) -> Generator[_Vector]:
        """Yield the vectors of one layer in the order of run and step."""
        with closing(self._connect()) as connection:
            columns = self._columns(connection)
            scalar = "channel" in columns
            said = ", ".join(name if name in columns else f"NULL AS {name}" for name in _OPTIONAL[:-1])
            context = "context" if "context" in columns else "NULL"
            context = f"CASE WHEN channel = 0 THEN {context} END" if scalar else context
            # The table is stored in this order, so nothing is sorted and nothing is read twice.
            rows = self._fetched(
                connection,
                f"SELECT run_id, step, {said}, {context}, {'channel' if scalar else 'NULL'}, tensor "  # noqa: S608 - fixed words
                f"FROM activations WHERE layer = ? ORDER BY run_id, step{', channel' if scalar else ''}",
                layer,
            )
            width = 0
            for _, group in itertools.groupby(rows, key=lambda row: row[:2]):
                vector = self._vector(layer, list(group), scalar=scalar)
                width = width or len(vector.values)
                if len(vector.values) != width:
                    raise RaggedRows(f"{self.name}: {vector.place} has {len(vector.values)} channels, not {width}.")
                yield vector

    def _vector(self, layer: str, rows: list[tuple[Any, ...]], *, scalar: bool) -> _Vector:
        run, step, prompt, prompt_index, token_index, token, context, _, _ = rows[0]
        place = f"run {str(run)[:40]!r}, step {step}, layer {layer[:80]!r}"
        if scalar and [row[7] for row in rows] != list(range(len(rows))):
            raise RaggedRows(f"{self.name}: {place} lacks a channel between 0 and {rows[-1][7]}.")
        parts = [self._numbers(row[8], place) for row in rows]
        if scalar and any(len(part) != 1 for part in parts):
            raise RaggedRows(f"{self.name}: {place} has a channel that is not one number.")
        values = np.array([number for part in parts for number in part], np.float32)
        return _Vector(layer, str(run), step, prompt, prompt_index, token_index, token, context, values)

    def _numbers(self, text: Any, place: str) -> list[float]:
        try:
            return [float(number) for number in json.loads(text)]
        except (TypeError, ValueError) as error:
            raise MalformedFile(f"{self.name}: {place} has a tensor that is not a list of numbers.") from error

    def _connect(self) -> sqlite3.Connection:
        # A log beside the file holds rows that are not in it yet; without one, nothing may create files beside it.
        log = self.path.with_name(f"{self.path.name}-wal")
        frozen = "" if log.is_file() and log.stat().st_size else "&immutable=1"
        try:
            return sqlite3.connect(f"{self.path.as_uri()}?mode=ro{frozen}", uri=True)
        except sqlite3.Error as error:
            raise MalformedFile(f"{self.name} cannot be opened: {error}.") from error

    def _columns(self, connection: sqlite3.Connection) -> set[str]:
        try:
            rows = connection.execute("PRAGMA table_info(activations)").fetchall()
        except sqlite3.Error as error:
            raise MalformedFile(f"{self.name} is not an SQLite database: {error}.") from error
        columns = {str(row[1]) for row in rows}
        if not {"run_id", "step", "layer", "tensor"} <= columns:
            raise MalformedFile(f"{self.name} has no table of activations as Interlatent writes it.")
        return columns

    def _fetched(self, connection: sqlite3.Connection, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        try:
            rows = connection.execute(query, values)
            while (row := rows.fetchone()) is not None:
                yield row
        except sqlite3.Error as error:
            raise MalformedFile(f"{self.name} is damaged: {error}.") from error


def _take_stock(vectors: Iterator[_Vector], name: str) -> _Inventory:
    found = _Inventory()
    for vector in vectors:
        said = _said(vector, name)
        found.tokens &= vector.prompt_index is not None
        found.metrics |= dict.fromkeys(said.metrics)
        for label, value in said.labels.items():
            found.labels.setdefault(label, {}).setdefault(_kind(value), value)
        run, index, _ = vector.key
        prompt_id = run if index < 0 else f"{run}:{index}"
        found.prompts.setdefault((run, index), IncomingPrompt(prompt_id, vector.prompt or ""))
    return found


def _said(vector: _Vector, name: str) -> _Said:
    try:
        context: Any = json.loads(vector.context) if vector.context else {}
    except ValueError as error:
        raise MalformedFile(f"{name}: {vector.place} has a context that is not JSON.") from error
    if not isinstance(context, dict):
        raise MalformedFile(f"{name}: {vector.place} has a context that is not an object.")
    context = cast(dict[str, Any], context)
    given = {key: value for key, value in context.items() if key not in _KNOWN}
    if vector.layer.endswith((":pre", ":post")):  # such a row's context is its metrics
        numbers: Any = {key: value for key, value in given.items() if _is_number(value)}
        given = {key: value for key, value in given.items() if key not in numbers}
    else:
        numbers = context.get("metrics") or {}
    if not isinstance(numbers, dict) or not all(map(_is_number, cast(dict[str, Any], numbers).values())):
        raise MalformedFile(f"{name}: {vector.place} has metrics that are not numbers.")
    token_id = context.get("token_id")
    metrics = {key: float(value) for key, value in cast(dict[str, Any], numbers).items()}
    return _Said(token_id if isinstance(token_id, int) else None, metrics, _flat(given))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> type:
    return value.__class__


def _flat(given: dict[str, Any]) -> dict[str, Any]:
    """Return labels by name: a record's own entries behind a dot, anything that is not one value as JSON text."""
    flat: dict[str, Any] = {}
    for key, value in given.items():
        entries = cast(dict[str, Any], value) if isinstance(value, dict) else {"": value}
        for part, entry in entries.items():
            kept = entry if isinstance(entry, str | int | float | None) else json.dumps(entry, sort_keys=True)
            if kept is not None:
                flat[f"{key}.{part}" if part else key] = kept
    return flat


def _blocks(
    database: _Database, columns: dict[str, DenseColumn], found: _Inventory, names: _Names
) -> Iterator[RowBlock]:
    numbers = {key: number for number, key in enumerate(found.prompts)}
    seen = [0] * len(numbers)
    rows = _aligned(database, tuple(columns))
    while pending := list(itertools.islice(rows, block_rows(column.width for column in columns.values()))):
        firsts = [vectors[0] for vectors in pending]
        said = [_said(vector, database.name) for vector in firsts]
        prompts = [numbers[vector.key[:2]] for vector in firsts]
        positions: list[int] = []
        for vector, prompt in zip(firsts, prompts, strict=True):
            positions.append(seen[prompt] if vector.token_index is None else vector.token_index)
            seen[prompt] += 1
        table: dict[str, Any] = {
            "prompt": prompts,
            "position": positions,
            "token": [vector.token for vector in firsts],
            "token_id": [entry.token_id for entry in said],
        }
        table |= {
            metric_column(kept): [entry.metrics.get(key) for entry in said] for key, kept in names.metrics.items()
        }
        table |= {label_column(kept): [entry.labels.get(key) for entry in said] for key, kept in names.labels.items()}
        values = zip(*([vector.values for vector in vectors] for vectors in pending), strict=True)
        yield RowBlock(table, {c.key: np.stack(v) for c, v in zip(columns.values(), values, strict=True)})


def _aligned(database: _Database, layers: tuple[str, ...]) -> Iterator[tuple[_Vector, ...]]:
    for vectors in itertools.zip_longest(*(database.vectors(layer) for layer in layers)):
        for layer, vector in zip(layers, vectors, strict=True):
            if vector is None or vectors[0] is None or vector.key != vectors[0].key:
                there = next(found for found in vectors if found is not None)
                raise RowsNotAligned(
                    f"{database.name}: {there.place} has a row that {layer[:80]!r} does not have there."
                )
        yield cast("tuple[_Vector, ...]", vectors)


def _notes(layers: Sequence[str], found: _Inventory) -> Iterator[str]:
    hidden = [layer for layer in layers if _HIDDEN.fullmatch(layer)]
    if hidden:
        yield (
            f"{hidden[-1]} is named {address_of(hidden[-1])}; if the model has just that many blocks, it is the output "
            "of the final norm. With left padding or generation the database has pad tokens as rows."
        )
    if any(layer.startswith("latent") for layer in layers):
        yield "Latent layers hold the raw linear map there, not codes: values are negative and not sparse."
    if not found.tokens:
        yield "Rewards and other metrics of a step were computed after the step before; the first step has none."
