"""The row table and the prompt table: which columns they have, of which types, and filling them strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import LabelField, LabelScope, LabelType, StoreHeader
from interp_lab.errors import UnfitRows
from interp_lab.store.arrow import Schema, Table, arrow

Values = NDArray[Any] | Sequence[Any]
"""One entry per row; None or, in numbers, NaN where there is none."""

_ROW_DEFAULTS: dict[str, Any] = {"token_id": None, "token": None, "special": False, "generated": False, "span": False}
_PROMPT_DEFAULTS: dict[str, Any] = {"score": None, "pair": None, "subtype": None, "split": None}
_REQUIRED = ("prompt", "position", "id", "text", "group", "special", "generated", "span")
"""Columns in which every row has a value."""


def metric_column(name: str) -> str:
    """Return the column of the row table that holds a metric."""
    return f"metric:{name}"


def label_column(name: str) -> str:
    """Return the column of its table that holds a label."""
    return f"label:{name}"


def row_schema(header: StoreHeader) -> Schema:
    """Return the schema of the row table."""
    pa = arrow()
    fields = [
        ("prompt", pa.int32()),
        ("position", pa.int32()),
        ("token_id", pa.int32()),
        ("token", pa.string()),
        *((name, pa.bool_()) for name in ("special", "generated", "span")),
        *((metric_column(metric.name), pa.float32()) for metric in header.metrics),
        *_label_fields(header.labels, "row"),
    ]
    return pa.schema(fields)


def prompt_schema(header: StoreHeader) -> Schema:
    """Return the schema of the prompt table."""
    pa = arrow()
    fields = [
        ("prompt", pa.int32()),
        ("id", pa.string()),
        ("text", pa.string()),
        ("group", pa.int32()),
        ("score", pa.float64()),
        *((name, pa.string()) for name in ("pair", "subtype", "split")),
        *_label_fields(header.labels, "prompt"),
    ]
    return pa.schema(fields)


def row_table(schema: Schema, rows: Mapping[str, Values], n_rows: int) -> Table:
    """Return a table of rows; `token_id`, `token` and the three marks may be left out.

    Raises:
        UnfitRows: A column is missing, unknown, of another length or of another type, or a metric is infinite.
    """
    return _table(schema, {**_filled(_ROW_DEFAULTS, n_rows), **rows}, n_rows)


def prompt_table(schema: Schema, prompts: Mapping[str, Values], *, first: int = 0) -> Table:
    """Return the table of prompts from number `first` on; `score`, `pair`, `subtype` and `split` may be left out.

    Raises:
        UnfitRows: As for `row_table`, or the prompts have other numbers.
    """
    n_prompts = len(prompts.get("id", ()))
    numbers = np.arange(first, first + n_prompts, dtype=np.int32)
    table = _table(schema, {**_filled(_PROMPT_DEFAULTS, n_prompts), "prompt": numbers, **prompts}, n_prompts)
    if not np.array_equal(table.column("prompt").to_numpy(), numbers):
        raise UnfitRows("Prompts are numbered 0, 1, 2 … in the order in which they stand.")
    return table


def _label_fields(labels: Sequence[LabelField], scope: LabelScope) -> list[tuple[str, Any]]:
    return [(label_column(label.name), _arrow_type(label.type)) for label in labels if label.scope == scope]


def _arrow_type(kind: LabelType) -> Any:
    pa = arrow()
    types: dict[LabelType, Any] = {
        "string": pa.string(),
        "category": pa.string(),
        "boolean": pa.bool_(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "span": pa.list_(pa.list_(pa.int32(), 2)),
    }
    return types[kind]


def _filled(defaults: Mapping[str, Any], n_rows: int) -> dict[str, Values]:
    return {name: [value] * n_rows for name, value in defaults.items()}


def _table(schema: Schema, given: Mapping[str, Values], n_rows: int) -> Table:
    missing, unknown = sorted(set(schema.names) - set(given)), sorted(set(given) - set(schema.names))
    if missing or unknown:
        faults = [f"{what}: {', '.join(map(repr, names))}" for what, names in _faults(missing, unknown)]
        raise UnfitRows(f"The columns do not fit the header; {'; '.join(faults)[:400]}.")
    arrays = [_array(field, given[field.name], n_rows) for field in schema]
    return arrow().Table.from_arrays(arrays, schema=schema)


def _faults(missing: list[str], unknown: list[str]) -> list[tuple[str, list[str]]]:
    return [(what, names) for what, names in (("missing", missing), ("unknown", unknown)) if names]


def _array(field: Any, values: Values, n_rows: int) -> Any:
    pa = arrow()
    if len(values) != n_rows:
        raise UnfitRows(f"Column {field.name!r} has {len(values)} values for {n_rows} rows.")
    if field.type == pa.float32():
        values = _metric(field.name, values)
    try:
        array = pa.array(values, type=field.type, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise UnfitRows(f"Column {field.name!r} does not hold {field.type}: {str(error)[:200]}.") from error
    if field.name in _REQUIRED and array.null_count:
        raise UnfitRows(f"Column {field.name!r} has no value in {array.null_count} rows.")
    return array


def _metric(name: str, values: Values) -> NDArray[np.float32]:
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UnfitRows(f"Column {name!r} does not hold numbers: {str(error)[:200]}.") from error
    with np.errstate(over="ignore"):
        metric = numbers.astype(np.float32)
    if np.isinf(metric).any():
        raise UnfitRows(f"Column {name!r} is too large for float32 at row {int(np.argmax(np.isinf(metric)))}.")
    return metric
