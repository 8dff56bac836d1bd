"""Activation records (JSON Lines) as one table in memory: a row per record and a column per feature, read in one pass.

Files whose records name the same features in the same order, as writers do, are read a record at a time without a
look at each number; what repeats from record to record is compared, not parsed (`Mould`); any other record is checked
field by field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import AbsentFeature, DuplicateRows, MalformedFile, SeveralModels
from interp_lab.store.interchange.line_buffer import HashedLines, Line, Source
from interp_lab.store.interchange.lines import line_object
from interp_lab.store.interchange.record import Record, read_record
from interp_lab.store.interchange.record_mould import Mould

_LARGEST = 3.4028234e38


@dataclass(frozen=True, eq=False)
class RecordTable:
    """Every record of one model."""

    model: str
    records: tuple[Record, ...]
    """Without their values, which are in the table."""
    features: tuple[str, ...]
    metadata: Mapping[str, Mapping[str, Any]]
    """What the first record that has it says of a feature."""
    values: NDArray[np.float32]
    """`(n_records, n_features)`."""
    n_absent: int
    """Values that were left out and count as 0."""
    sha256: str
    """Of the file, as it was read."""


@dataclass(slots=True)
class _Reading:
    names: dict[str, int] = field(default_factory=dict[str, int])
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    records: list[Record] = field(default_factory=list[Record])
    rows: list[tuple[list[int] | None, NDArray[np.float64]]] = field(
        default_factory=list[tuple[list[int] | None, NDArray[np.float64]]]
    )
    """Columns of a record's values, None for all of them in order, and the values."""
    first: list[str] = field(default_factory=list[str])
    mould: Mould | None = None


def read_record_table(
    file: Source, *, name: str, model: str, absent: Literal["refuse", "zero"] = "refuse"
) -> RecordTable:
    """Return the records of a model; records of other models are left alone.

    Raises:
        MalformedFile: A line is not a record; it is named.
        SeveralModels: No record is of the model; the message says of which they are.
        AbsentFeature: A record lacks a feature that others have, and absent is 'refuse'.
        DuplicateRows: Two records have one id.
    """
    reading, others = _Reading(), set[str]()
    hashed = HashedLines(file, where=name)
    for line in hashed.lines():
        value, plain = _read(line, reading, name)
        if isinstance(value.get("model"), str) and value["model"] != model:
            others.add(str(value["model"]))
            continue
        if not reading.records:
            reading.mould = Mould.of(line.data, value)
        _take(line.number, value, plain, reading, where=name)
    if not reading.records:
        found = ", ".join(sorted(repr(other[:80]) for other in others)) or "no model"
        raise SeveralModels(f"{name} has no record of {model!r}; its records are of {found}.")
    _refuse_twice(reading.records, name)
    values, n_absent = _filled(reading, name, absent)
    return RecordTable(
        model, tuple(reading.records), tuple(reading.names), reading.metadata, values, n_absent, hashed.sha256
    )


def _read(line: Line, reading: _Reading, name: str) -> tuple[dict[str, Any], NDArray[np.float64] | None]:
    """Return the record of a line, and its values where it names the features of the first record in their order."""
    known = reading.mould.read(line) if reading.mould else None
    if known is not None and _fit(known[1]):
        return known
    value = line_object(line.data, line.number, where=name)
    return value, _plain_values(value.get("features"), reading.first)


def _take(
    line: int, value: dict[str, Any], plain: NDArray[np.float64] | None, reading: _Reading, *, where: str
) -> None:
    if plain is not None:
        value = {**value, "features": {}, "feature_metadata": None}
        reading.records.append(read_record(line, value, where=where))
        reading.rows.append((None, plain))
        return
    record = read_record(line, value, where=where)
    places = [reading.names.setdefault(feature, len(reading.names)) for feature in record.values]
    for feature, said in record.metadata.items():
        reading.metadata.setdefault(feature, said)
    reading.rows.append((places, np.fromiter(record.values.values(), np.float64, len(places))))
    if not reading.records:
        reading.first = list(record.values)
    record.values.clear()
    record.metadata.clear()
    reading.records.append(record)


def _plain_values(features: Any, first: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the values of a record that names the first record's features in its order, all of them numbers."""
    if not first:
        return None
    if isinstance(features, dict):
        named = cast(dict[str, Any], features)
        numbers = list(named.values()) if list(named) == first else None
    else:
        numbers = _listed(features, first)
    if numbers is None or not set(map(type, numbers)) <= {float, int}:
        return None
    try:
        values = np.array(numbers, dtype=np.float64)
    except OverflowError:
        return None
    return values if _fit(values) else None


def _fit(values: NDArray[np.float64]) -> bool:
    """Whether float32 holds them."""
    return float(np.abs(values).max(initial=0.0)) <= _LARGEST


def _listed(features: Any, first: Sequence[str]) -> list[Any] | None:
    if not isinstance(features, list) or len(cast(list[Any], features)) != len(first):
        return None
    entries = cast(list[dict[str, Any]], features)
    try:
        if [entry["feature_id"] for entry in entries] != first:
            return None
        return [entry["activation"] for entry in entries]
    except (KeyError, TypeError):
        return None


def _filled(reading: _Reading, name: str, absent: Literal["refuse", "zero"]) -> tuple[NDArray[np.float32], int]:
    width = len(reading.names)
    if not width:
        raise MalformedFile(f"{name} has no record with a feature.")
    values = np.zeros((len(reading.rows), width), np.float32)
    n_absent = 0
    for row, (places, numbers) in enumerate(reading.rows):
        n_absent += width - numbers.size
        if numbers.size < width and absent == "refuse":
            lacking = next(f for f, place in reading.names.items() if place not in set(places or range(numbers.size)))
            line = reading.records[row].line
            raise AbsentFeature(f"{name}, line {line}, lacks the feature {lacking[:80]!r}, which other records have.")
        if places is None:
            values[row, : numbers.size] = numbers
        else:
            values[row, places] = numbers
    return values, n_absent


def _refuse_twice(records: Sequence[Record], name: str) -> None:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise DuplicateRows(f"{name}, line {record.line}: {record.id[:80]!r} was there before.")
        seen.add(record.id)
