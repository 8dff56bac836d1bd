"""How far units differ between two slices, two stores or two models' stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import DifferenceQuery, QueryRequest
from interp_lab.contracts.query_conditions import Slice
from interp_lab.contracts.store import StoreManifest
from interp_lab.errors import InvalidRequest
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.statistics.slice_difference import DIFFERENCE_INTERVAL, Difference, SliceSums, slice_difference
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.columns import Source, chosen_units, require_small_enough, unit_blocks
from interp_lab.workflows.querying.rows import choose_rows
from interp_lab.workflows.querying.view import StoreView

LEVEL = 0.05
OpenView = Callable[[str], StoreView]

_HEADERS = (
    ("unit", "index in the column"),
    ("d", "Cohen's d of a minus b, pooled standard deviation over rows"),
    ("low", "95 % interval of d that counts independent groups"),
    ("high", "95 % interval of d"),
    ("q", "Benjamini-Hochberg over every unit tested"),
    ("mean_a", "mean activation in slice a"),
    ("mean_b", "mean activation in slice b"),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Sides:
    a: Source
    b: Source
    shift: int
    """Added to the group ids of b: 0 where the same id is the same group."""


def difference(view: StoreView, query: DifferenceQuery, request: QueryRequest, *, open_other: OpenView) -> Answer:
    """Return the units, those that differ most first.

    Raises:
        EmptySlice: a slice has no rows.
        InvalidRequest: the columns have different widths.
        TooFewGroups: a slice has rows of one group only.
    """
    sides = _sides(view, query, request, open_other)
    units = chosen_units(sides.a.rows, sides.a.key, query.units)
    for rows, key in (sides.a, sides.b):
        require_small_enough(rows, key, units.size, passes=2)
    found = _measured(sides, units)
    q = benjamini_hochberg(found.p)
    order = {"d": np.argsort(-np.abs(found.d), kind="stable"), "q": np.lexsort((-np.abs(found.d), q))}.get(
        query.sort, np.arange(units.size)
    )

    def make(start: int, stop: int) -> Sequence[Row]:
        return [_row(found, q, int(units[place]), int(place)) for place in order[start:stop]]

    def actions(page: Sequence[Row]) -> Sequence[NextAction]:
        if not page:
            return ()
        shown: dict[str, JsonValue] = {"kind": "contexts", "column": query.column, "unit": page[0][0]}
        return (action(request, f"See where unit {page[0][0]} is strongest.", shown),)

    return Answer(
        rows=sides.a.rows,
        headers=_HEADERS,
        total=int(order.size),
        make=make,
        summary=_summary(query, sides, found, n_significant=int(np.count_nonzero(q <= LEVEL))),
        facts={
            "a": sides.a.rows.count().model_dump(),
            "b": sides.b.rows.count().model_dump(),
            "groups_in_all": found.n_groups,
            "rows_in_both": _shared_rows(sides),
            "interval": DIFFERENCE_INTERVAL,
        },
        warnings=_warnings(sides),
        actions=actions,
    )


def _sides(view: StoreView, query: DifferenceQuery, request: QueryRequest, open_other: OpenView) -> _Sides:
    def side(part: Slice, name: str) -> Source:
        where = view if part.store is None else open_other(part.store)
        key = part.column or query.column
        where.column(key)
        conditions = (*request.where, *part.where)
        rows = choose_rows(where, conditions, sample=request.sample_rows, seed=request.seed, name=f"Slice {name}")
        return Source(rows, key)

    a, b = side(query.a, "a"), side(query.b, "b")
    widths = a.rows.view.column(a.key).width, b.rows.view.column(b.key).width
    if widths[0] != widths[1]:
        raise InvalidRequest(f"The slices' columns have {widths[0]} and {widths[1]} units: they cannot be compared.")
    alike = _same_prompts(a.rows.view.store.manifest, b.rows.view.store.manifest)
    return _Sides(a, b, 0 if alike else int(a.rows.view.prompt_group.max(initial=0)) + 1)


def _same_prompts(a: StoreManifest, b: StoreManifest) -> bool:
    """Return whether group ids mean the same in both: one store, or two of the same dataset."""
    if a.prompts.sha256 == b.prompts.sha256:
        return True
    hashes = [store.dataset.sha256 if store.dataset else None for store in (a, b)]
    return hashes[0] is not None and hashes[0] == hashes[1] and a.n_prompts == b.n_prompts


def _measured(sides: _Sides, units: Ints) -> Difference:
    parts: list[Difference] = []
    for _, (block_a, block_b) in unit_blocks([sides.a, sides.b], units):
        sums_b = SliceSums.of(block_b)
        parts.append(slice_difference(SliceSums.of(block_a), replace(sums_b, groups=sums_b.groups + sides.shift)))

    def joined(name: str) -> Floats:
        return np.concatenate([getattr(part, name) for part in parts])

    names = ("mean_a", "mean_b", "d", "low", "high", "p")
    return Difference(**{name: joined(name) for name in names}, n_groups=parts[0].n_groups)


def _row(found: Difference, q: Floats, unit: int, place: int) -> Row:
    numbers = (found.d, found.low, found.high, q, found.mean_a, found.mean_b)
    return unit, *(number(float(values[place])) for values in numbers)


def _shared_rows(sides: _Sides) -> int:
    a, b = sides.a.rows, sides.b.rows
    return int(np.count_nonzero(a.mask & b.mask)) if a.view is b.view else 0


def _summary(query: DifferenceQuery, sides: _Sides, found: Difference, *, n_significant: int) -> str:
    counts = [source.rows.count() for source in (sides.a, sides.b)]
    sizes = " against ".join(f"{count.rows} rows of {count.groups} groups" for count in counts)
    return (
        f"{query.column}: {n_significant} of {found.d.size} units differ between a and b at q <= {LEVEL} ({sizes}; "
        f"{found.n_groups} independent groups in all). Association only: the slices may differ in other ways too."
    )


def _warnings(sides: _Sides) -> list[str]:
    models = [source.rows.view.store.manifest.model for source in (sides.a, sides.b)]
    found: list[str] = []
    if models[0] != models[1]:
        found.append("The slices are of different models: unit i is the same thing in both only by assumption.")
    if (b := sides.b.rows).n < b.of_rows:
        found.append(f"Of slice b, {b.n} of {b.of_rows} rows were drawn at random.")
    if shared := _shared_rows(sides):
        found.append(f"{shared} rows are in both slices.")
    return found
