"""Activation records (JSON Lines) into a store: two passes, the first of which finds every feature and every fault.

Dimensions that are all there become a dense column. Anything else becomes codes, in which the index of a unit stays
what the file says it is: dimension 107 is unit 107, even where the file holds three dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import numpy as np

from interp_lab.contracts.store import (
    CodeColumn,
    DenseColumn,
    MetricField,
    StoredDataset,
    StoredModel,
    StoreDtype,
    StoreHeader,
)
from interp_lab.errors import AbsentFeature, DuplicateRows, MalformedFile, SeveralModels
from interp_lab.points import Address
from interp_lab.store.blocks import Block, CodeBlock, RowBlock
from interp_lab.store.interchange.features import Place, place_of
from interp_lab.store.interchange.incoming import (
    Incoming,
    IncomingPrompt,
    block_rows,
    imported_from,
    is_span,
    label_fields,
    plain_names,
)
from interp_lab.store.interchange.lines import numbered_objects
from interp_lab.store.interchange.record import Record, read_record
from interp_lab.store.interchange.row_keys import RowKeys, first_repeat
from interp_lab.store.tables import metric_column

Column = tuple[Address, str | None]
SCORE = "criterion_score"
_HIDDEN = "records"
"""Dictionary name of dimensions that a file holds only some of."""
_OBJECT_FACTOR = 16


@dataclass(slots=True)
class _Inventory:
    """What a file holds, found in the first pass."""

    models: set[str] = field(default_factory=set[str])
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    units: dict[Column, set[int]] = field(default_factory=dict[Column, set[int]])
    keys: RowKeys = field(default_factory=RowKeys)
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    """Prompt id → its number."""
    prompts: dict[str, IncomingPrompt] = field(default_factory=dict[str, IncomingPrompt])
    labels: dict[str, dict[type, Any]] = field(default_factory=dict[str, dict[type, Any]])
    """A value of every type that a label has; a list that is no span counts as one of its own."""
    absent: tuple[int, str] | None = None
    """Line of the first record that lacks a feature, and the feature."""
    n_tokens: int = 0
    scores_vary: bool = False


def read_records(
    file: BinaryIO,
    *,
    name: str,
    sha256: str | None = None,
    model: str | None = None,
    absent: Literal["refuse", "zero"] = "refuse",
    dtype: StoreDtype = "float32",
) -> Incoming:
    """Return the activation records of a file, which stays open while the blocks are read.

    Raises:
        MalformedFile: A line is not a record; it is named.
        SeveralModels: The file holds several models and none was named, or not the one that was.
        AbsentFeature: A record lacks a feature that others have, and absent is 'refuse'.
        DuplicateRows: Two records stand for one prompt or token, or two features for one unit.
    """
    found = _take_stock(file, name, model)
    if found.absent and absent == "refuse":
        line, feature = found.absent
        raise AbsentFeature(f"{name}, line {line}, lacks the feature {feature[:80]!r}, which other records have.")
    columns = {column: _column(column, units, found, dtype) for column, units in found.units.items()}
    labels = plain_names(found.labels, where=name)
    header = StoreHeader(
        title=f"activation records of {name}"[:200],
        row="token" if found.n_tokens else "record",
        model=StoredModel(id=next(iter(found.models))),
        dataset=StoredDataset(name=name),
        columns=tuple(columns.values()),
        labels=label_fields({labels[key]: s.values() for key, s in found.labels.items()}, "prompt", where=name),
        metrics=(MetricField(name=SCORE, description="score of the record"),) if found.scores_vary else (),
        settings={**imported_from("records", name, sha256), "features": _names(found)},
    )
    return Incoming(
        header=header,
        blocks=_blocks(file, name, _Layout(found, columns)),
        prompts=[
            prompt._replace(labels={labels[key]: value for key, value in prompt.labels.items()})
            for prompt in found.prompts.values()
        ],
        sources={column.key: _source(found, key) for key, column in columns.items()},
        notes=tuple(_notes(found, columns)),
    )


def _take_stock(file: BinaryIO, name: str, model: str | None) -> _Inventory:
    found = _Inventory()
    first: Record | None = None
    for record in _records(file, name, model):
        found.models.add(record.model)
        if len(found.models) > 1:
            raise SeveralModels(f"{name} holds {' and '.join(sorted(found.models))}.")
        _note_features(record, found, name)
        _note_prompt(record, found)
        first = first or record
        if found.absent is None and record.values.keys() != first.values.keys():
            found.absent = _gap(first, record)
    if not found.units:
        other = "" if model is None else f" of model {model!r}"
        raise MalformedFile(f"{name} has no record{other} with a feature.")
    _refuse_repeats(file, name, model, found)
    return found


def _refuse_repeats(file: BinaryIO, name: str, model: str | None, found: _Inventory) -> None:
    number = first_repeat(found.keys.prompts, found.keys.positions)
    if number is not None:
        record = next(itertools.islice(_records(file, name, model), number, None))
        raise DuplicateRows(f"{name}, line {record.line}: {record.id[:80]!r} was there before.")


def _records(file: BinaryIO, name: str, model: str | None) -> Iterator[Record]:
    for line, value in numbered_objects(file, where=name):
        record = read_record(line, value, where=name)
        if model is None or record.model == model:
            yield record


def _note_features(record: Record, found: _Inventory, name: str) -> None:
    for feature in record.values:
        if feature in found.places:
            continue
        place = place_of(feature, record.metadata.get(feature, {}))
        units = found.units.setdefault((place.address, place.dictionary), set())
        unit = len(units) if place.unit is None else place.unit
        if unit in units:
            raise DuplicateRows(f"{name}, line {record.line}: {feature[:80]!r} is a second name of unit {unit}.")
        units.add(unit)
        found.places[feature] = place._replace(unit=unit)


def _note_prompt(record: Record, found: _Inventory) -> None:
    token = record.token
    prompt, position, text = (record.id, 0, record.text) if token is None else token[:3]
    found.keys.add(found.numbers.setdefault(prompt, len(found.numbers)), position)
    found.n_tokens += token is not None
    known = found.prompts.setdefault(prompt, IncomingPrompt(prompt, text, record.score, labels=record.labels))
    found.scores_vary |= known.score != record.score
    if known.labels is record.labels:
        for label, value in record.labels.items():
            kind: type = value.__class__
            if kind is list and not is_span(value):
                kind = object
            found.labels.setdefault(label, {}).setdefault(kind, value)


def _gap(first: Record, record: Record) -> tuple[int, str]:
    """Return line and name of the feature that one of two records lacks."""
    lacking = next((name for name in first.values if name not in record.values), None)
    if lacking is not None:
        return record.line, lacking
    return first.line, next(name for name in record.values if name not in first.values)


def _column(column: Column, units: set[int], found: _Inventory, dtype: StoreDtype) -> DenseColumn | CodeColumn:
    (address, dictionary), width = column, max(units) + 1
    if dictionary is None and len(units) == width and found.absent is None:
        return DenseColumn(address=address, width=width, dtype=dtype)
    return CodeColumn(address=address, dictionary=dictionary or _HIDDEN, width=width, dtype=dtype)


def _names(found: _Inventory) -> dict[str, Any]:
    """Return unit → name for features whose name says no place."""
    return {str(place.unit): name for name, place in found.places.items() if place.dictionary == "features"}


def _source(found: _Inventory, column: Column) -> str:
    names = [name for name, place in found.places.items() if (place.address, place.dictionary) == column]
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def _notes(found: _Inventory, columns: Mapping[Column, DenseColumn | CodeColumn]) -> Iterator[str]:
    if found.absent:
        yield "Features that a record leaves out count as inactive in it, as was asked."
    some = [column.key for (_, given), column in columns.items() if given is None and column.kind == "codes"]
    if some:
        yield f"Of {', '.join(some)[:200]} the file holds only some dimensions; the others read as 0 and are not known."
    if found.n_tokens:
        yield "The file does not say which tokens are special; none is marked."


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything of a record goes."""

    found: _Inventory
    columns: Mapping[Column, DenseColumn | CodeColumn]

    @property
    def block_rows(self) -> int:
        """Records in one block: their numbers are still objects, a dozen times as large as in an array."""
        widths = (c.width if c.kind == "dense" else len(self.found.units[key]) for key, c in self.columns.items())
        return max(1, block_rows(widths) // _OBJECT_FACTOR)


def _blocks(file: BinaryIO, name: str, layout: _Layout) -> Iterator[RowBlock]:
    pending: list[Record] = []
    for record in _records(file, name, next(iter(layout.found.models))):
        pending.append(record)
        if len(pending) == layout.block_rows:
            yield _block(pending, layout)
            pending = []
    if pending:
        yield _block(pending, layout)


def _block(records: list[Record], layout: _Layout) -> RowBlock:
    tokens = [record.token or (record.id, 0, record.text, None) for record in records]
    rows: dict[str, Any] = {
        "prompt": [layout.found.numbers[token[0]] for token in tokens],
        "position": [token[1] for token in tokens],
        "token": [token[3] for token in tokens],
    }
    if layout.found.scores_vary:
        rows[metric_column(SCORE)] = [record.score for record in records]
    places = layout.found.places
    return RowBlock(rows, {column.key: _values(records, places, key, column) for key, column in layout.columns.items()})


def _values(records: list[Record], places: Mapping[str, Place], key: Column, column: DenseColumn | CodeColumn) -> Block:
    active = [
        [(place.unit or 0, value) for name, value in record.values.items() if (place := places[name])[:2] == key]
        for record in records
    ]
    if column.kind == "dense":
        dense = np.zeros((len(records), column.width), np.float32)
        for row, pairs in enumerate(active):
            for unit, value in pairs:
                dense[row, unit] = value
        return dense
    indptr = np.cumsum([0, *(len(pairs) for pairs in active)])
    flat = [pair for pairs in active for pair in pairs]
    latents = np.array([unit for unit, _ in flat], np.int32)
    return CodeBlock(indptr.astype(np.int64), latents, np.array([value for _, value in flat], np.float32))
