"""Statistics of every unit: moments over all rows, with intervals and quantiles for the units that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import QueryRequest, UnitsQuery
from interp_lab.statistics.arrays import Ints
from interp_lab.statistics.column_moments import ColumnMoments
from interp_lab.statistics.level_means import mean_interval
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.columns import chosen_units, require_small_enough, unit_moments, unit_values
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.view import StoreView

QUANTILES = (0.01, 0.5, 0.9, 0.99)
_INTERVAL = "95 % interval, Student t over independent groups"
_HEADERS = (
    ("unit", "index in the column"),
    ("firing_rate", "share of rows above fires_above"),
    ("rate_low", f"of firing_rate, {_INTERVAL}"),
    ("rate_high", "of firing_rate"),
    ("mean", "activation"),
    ("mean_low", f"of mean, {_INTERVAL}"),
    ("mean_high", "of mean"),
    ("std", "population standard deviation over rows"),
    ("min", "smallest"),
    ("max", "largest"),
    *((f"q{100 * q:g}", f"{q:g} quantile over rows") for q in QUANTILES),
)


def units(view: StoreView, query: UnitsQuery, request: QueryRequest) -> Answer:
    """Return the units of a column, sorted; dead and dense units are told by how often they fire."""
    rows = choose_rows(view, request.where, sample=request.sample_rows, seed=request.seed)
    wanted = chosen_units(rows, query.column, query.units)
    require_small_enough(rows, query.column, wanted.size, passes=1)
    moments = unit_moments(rows, query.column, wanted, fires_above=query.fires_above)
    dead = moments.firing_rate <= query.dead_rate
    dense = moments.firing_rate >= query.dense_rate
    order = _order(query, moments, wanted)
    kept = {"all": np.ones_like(dead), "dead": dead, "dense": dense}[query.only]
    order = order[kept[order]]

    def make(start: int, stop: int) -> Sequence[Row]:
        return [_row(rows, query, moments, (int(wanted[place]), int(place))) for place in order[start:stop]]

    def actions(page: Sequence[Row]) -> Sequence[NextAction]:
        if not page:
            return ()
        shown = {"kind": "contexts", "column": query.column, "unit": page[0][0]}
        return (action(request, f"See where unit {page[0][0]} is strongest.", shown),)

    n_dead, n_dense = int(np.count_nonzero(dead)), int(np.count_nonzero(dense))
    count = rows.count()
    return Answer(
        rows=rows,
        headers=_HEADERS,
        total=int(order.size),
        make=make,
        summary=(
            f"{query.column}: {n_dead} of {wanted.size} units are dead (fire on at most {query.dead_rate:g} of rows), "
            f"{n_dense} are dense (at least {query.dense_rate:g}), on {rows.n} rows of {count.groups} independent "
            "groups. Dead here need not be dead on other text."
        ),
        facts={"n_dead": n_dead, "n_dense": n_dense, "fires_above": query.fires_above},
        actions=actions,
    )


def _order(query: UnitsQuery, moments: ColumnMoments, wanted: Ints) -> Ints:
    keys = {
        "firing_rate": moments.firing_rate,
        "mean": moments.mean,
        "std": moments.std,
        "min": moments.minimum,
        "max": moments.maximum,
        "unit": wanted.astype(np.float64),
    }[query.sort]
    return np.argsort(keys if query.ascending or query.sort == "unit" else -keys, kind="stable")


def _row(rows: RowSet, query: UnitsQuery, moments: ColumnMoments, which: tuple[int, int]) -> Row:
    unit, place = which
    values = unit_values(rows, query.column, np.array([unit]))[0]
    _, rate_low, rate_high = mean_interval((values > query.fires_above).astype(np.float64), rows.clusters)
    _, mean_low, mean_high = mean_interval(values, rows.clusters)
    rate = moments.firing_rate[place], max(0.0, float(rate_low)), min(1.0, float(rate_high))
    spread = moments.std[place], moments.minimum[place], moments.maximum[place]
    numbers = *rate, moments.mean[place], mean_low, mean_high, *spread, *np.quantile(values, QUANTILES)
    return unit, *(number(float(value)) for value in numbers)
