"""What is in a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import QueryRequest
from interp_lab.contracts.store import StoreManifest
from interp_lab.store.arrow import arrow
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.texts import clipped
from interp_lab.workflows.querying.view import StoreView

_T = TypeVar("_T")
_SHOWN_VALUES = 6
_VALUE_CHARS = 40
_METRICS_ROOM, _LABELS_ROOM, _NAMES_ROOM = 1_500, 2_000, 400
"""Characters of JSON for what is said of metrics, of labels, and for the names of the others."""

_HEADERS = (
    ("column", "key for other questions"),
    ("kind", "dense: every value stored; codes: latents of a dictionary, zeros not stored"),
    ("units", "width"),
    ("dtype", "number format on disk"),
    ("active_per_row", "mean number of stored values per row (L0 of codes)"),
)


def overview(view: StoreView, request: QueryRequest) -> Answer:
    """Return the columns of the store, with its origin, metrics and labels as facts."""
    manifest = view.store.manifest
    rows = choose_rows(view, request.where)
    table = [_column(view, key) for key in view.store.keys]
    what = (
        f"{manifest.n_rows} {manifest.row}s of {manifest.n_prompts} prompts in {manifest.n_groups} independent groups"
    )
    metrics = [f"metric:{metric.name}" for metric in manifest.metrics]
    labels = [f"label:{label.name}" for label in manifest.labels]
    said = _some((_metric(rows, metric.name, metric.unit) for metric in manifest.metrics), _METRICS_ROOM)
    shown = _some((_label(rows, f"label:{each.name}", each.type, each.scope) for each in manifest.labels), _LABELS_ROOM)
    others = [*metrics[len(said) :], *labels[len(shown) :]]
    return Answer(
        rows=rows,
        headers=_HEADERS,
        total=len(table),
        make=lambda start, stop: table[start:stop],
        summary=f"{clipped(manifest.title, 80)}: {what}, {len(table)} columns. A list of contents, not a finding.",
        facts={
            "model": manifest.model.model_dump(mode="json", exclude_none=True) if manifest.model else None,
            "dataset": manifest.dataset.name if manifest.dataset else None,
            "metrics": said,
            "labels": shown,
            "others": _some(others, _NAMES_ROOM),
        },
        warnings=[f"{len(others)} of {len(metrics) + len(labels)} metrics and labels are not described here."]
        if others
        else [],
        actions=lambda _: _actions(manifest, request),
    )


def _some(things: Iterable[_T], room: int) -> list[_T]:
    """Return the things from the first on that fit into so many characters of JSON; the others are not even made."""
    kept: list[_T] = []
    for thing in things:
        room -= len(json.dumps(thing)) + 1
        if room < 0:
            break
        kept.append(thing)
    return kept


def _column(view: StoreView, key: str) -> Row:
    column = view.column(key)
    per_row = column.width if column.kind == "dense" else view.store.codes(key).n_active / max(1, view.n_rows)
    return key, column.kind, column.width, column.dtype, number(per_row)


def _metric(rows: RowSet, name: str, unit: str) -> dict[str, Any]:
    compute = arrow().compute
    values = rows.view.field(f"metric:{name}").take(arrow().array(rows.index))
    known = values.drop_null()
    found: dict[str, Any] = {"name": f"metric:{name}", "unit": unit, "known": len(known)}
    if len(known):
        ends = compute.min_max(known).as_py()
        found |= {"mean": number(compute.mean(known).as_py()), "min": number(ends["min"]), "max": number(ends["max"])}
    return found


def _label(rows: RowSet, name: str, kind: str, scope: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "type": kind, "scope": scope}
    if kind == "span":
        return found
    values: Any = rows.view.prompts.column(name) if scope == "prompt" else rows.view.field(name)
    counts = values.drop_null().value_counts()
    order = arrow().compute.sort_indices(counts.field("counts"), sort_keys=[("", "descending")])
    most = counts.take(order[:_SHOWN_VALUES]).to_pylist()
    shown = [[clipped(str(each["values"]), _VALUE_CHARS), int(each["counts"])] for each in most]
    return found | {"n_values": len(counts), "most_common": shown}


def _actions(manifest: StoreManifest, request: QueryRequest) -> Sequence[NextAction]:
    key = next((column.key for column in manifest.columns if column.kind == "codes"), manifest.columns[0].key)
    actions = [action(request, f"Statistics of every unit of {key}.", {"kind": "units", "column": key})]
    if manifest.metrics or manifest.labels:
        why = "See which units go with which metric or label."
        actions.append(action(request, why, {"kind": "associate", "column": key}))
    return actions
