# pyright: standard
"""Activation records as the values of an inspection: one table, rows of tokens pooled to their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.paths import open_input
from interp_lab.contracts.inspect_evidence import RecordsEvidence
from interp_lab.contracts.pooling import Pooling
from interp_lab.errors import DuplicateRows, InvalidPrompts
from interp_lab.settings import Settings
from interp_lab.store.interchange.features import Place, place_of
from interp_lab.store.interchange.record_table import RecordTable, read_record_table
from interp_lab.workflows.inspection.tables import Pooled
from interp_lab.workflows.inspection.values import TokenRow, Values, unloaded


def read_record_values(source: RecordsEvidence, model: str, pooling: Pooling, settings: Settings) -> Values:
    """Return the records of a model, pooled to prompts.

    Raises:
        MalformedFile, SeveralModels, AbsentFeature, DuplicateRows: see `read_record_table`.
        InvalidPath, PathOutsideWorkspace: the file is not one that may be read.
        InvalidPrompts: pooling is 'span', which no record knows.
    """
    if pooling == "span":
        raise InvalidPrompts("Activation records say nothing of spans.", remedy="Choose pooling max, mean or last.")
    with open_input(settings.workspace, source.path, read_roots=settings.read_roots) as file:
        read = read_record_table(file, name=source.path, model=model, absent=source.absent)
    order, units, columns = _columns(read)
    prompts, rows = _prompts(read)
    values = read.values[:, order]
    whole = all(len(own) == 1 for own in rows)
    pooled = values[[own[0] for own in rows]] if whole else _pooled(values, rows, pooling)
    notes = (f"{read.n_absent:,} values were left out of records and count as 0, as was asked.",) * bool(read.n_absent)
    return Values(
        name=source.path,
        prompts=prompts,
        table=Pooled(pooled, np.asarray((values > 0).mean(axis=0)), columns, units),
        lengths=None if whole else [len(own) for own in rows],
        facts=unloaded(model, f"activation records of {source.path}"),
        sources={"records": f"{source.path} sha256:{read.sha256}"},
        tokens=None if whole else _Tokens(read, values, rows),
        notes=notes,
        names=tuple(read.features[place] for place in order),
    )


class _Tokens:
    """The tokens of prompts with the values of one column."""

    def __init__(self, read: RecordTable, values: NDArray[np.float32], rows: Sequence[Sequence[int]]) -> None:
        self._read, self._values, self._rows = read, values, rows

    def __call__(self, column: int, prompts: Sequence[int]) -> Mapping[int, TokenRow]:
        shown: dict[int, TokenRow] = {}
        for prompt in prompts:
            own = self._rows[prompt]
            tokens = [self._read.records[row].token for row in own]
            texts = [token[3] if token else "" for token in tokens]
            shown[prompt] = TokenRow(texts, [float(self._values[row, column]) for row in own])
        return shown


def _columns(read: RecordTable) -> tuple[list[int], NDArray[np.intp], dict[str, slice]]:
    """Return the order that puts features of one place side by side, the unit of each, and the columns of each place.

    Raises:
        DuplicateRows: two features stand for one unit.
    """
    places = [place_of(name, read.metadata.get(name, {})) for name in read.features]
    by_site: dict[str, dict[int, int]] = {}
    for column, own in enumerate(places):
        units = by_site.setdefault(_site(own), {})
        unit = len(units) if own.unit is None else own.unit
        if units.setdefault(unit, column) != column:
            raise DuplicateRows(f"{read.features[column][:80]!r} is a second name of unit {unit} of {_site(own)}.")
    order: list[int] = []
    columns: dict[str, slice] = {}
    for site, units in by_site.items():
        columns[site] = slice(len(order), len(order) + len(units))
        order += units.values()
    return order, np.array([unit for units in by_site.values() for unit in units], dtype=np.intp), columns


def _site(place: Place) -> str:
    return str(place.address) if place.dictionary is None else f"{place.address}/{place.dictionary}"


def _prompts(read: RecordTable) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Return the prompts in order of first appearance, and the rows of each in the order of their positions."""
    prompts: dict[str, dict[str, Any]] = {}
    rows: dict[str, list[tuple[int, int]]] = {}
    for row, record in enumerate(read.records):
        token = record.token
        own, position, text = (record.id, 0, record.text) if token is None else token[:3]
        prompts.setdefault(
            own, {"id": own, "text": text, "score": record.score, "group": None, "labels": record.labels}
        )
        rows.setdefault(own, []).append((position, row))
    return list(prompts.values()), [[row for _, row in sorted(rows[own])] for own in prompts]


def _pooled(values: NDArray[np.float32], rows: Sequence[Sequence[int]], pooling: Pooling) -> NDArray[np.float32]:
    out = np.empty((len(rows), values.shape[1]), np.float32)
    for prompt, own in enumerate(rows):
        block = values[list(own)]
        out[prompt] = block[-1] if pooling == "last" else block.max(axis=0) if pooling == "max" else block.mean(axis=0)
    return out
