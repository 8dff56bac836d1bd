"""One unit over the rows of a store: where it is active and how strongly, how often, and how the values are spread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.features import Activations, Density
from interp_lab.statistics.arrays import Bools, Floats, Ints, Matrix
from interp_lab.statistics.level_means import mean_interval
from interp_lab.workflows.features.prepared import prepared
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.querying.view import StoreView, UnitRef

BINS = 12


@dataclass(frozen=True, eq=False)
class Signal:
    """Rows and values of one unit, strongest first, then in order."""

    view: StoreView
    unit: UnitRef
    rows: Ints
    """Of a latent the rows on which it is above zero; of a coordinate every row."""
    values: Matrix

    @cached_property
    def active(self) -> Ints:
        """Rows on which it is above zero, strongest first."""
        return self.rows[: int(np.count_nonzero(self.values > 0))]

    @cached_property
    def is_active(self) -> Bools:
        """Which rows of the store those are `(n_rows,)`."""
        found = np.zeros(self.view.n_rows, dtype=np.bool_)
        found[self.active] = True
        return found

    @cached_property
    def _spread(self) -> Matrix:
        """Its value on every row of the store `(n_rows,)`."""
        spread = np.zeros(self.view.n_rows, dtype=np.float32)
        spread[self.rows] = self.values
        return spread

    def at(self, rows: Ints) -> Matrix:
        """Return its values on some rows."""
        return self._spread[rows]


def read_signal(view: StoreView, unit: UnitRef) -> Signal:
    """Return where a unit is active."""
    if view.column(unit.column).kind == "codes":
        rows, values = view.store.codes(unit.column).latent(unit.index)
        n = int(np.searchsorted(-values, 0.0))
        return Signal(view, unit, rows[:n], values[:n])
    values = view.values_of(unit, np.arange(view.n_rows))
    order = np.argsort(-values, kind="stable")
    return Signal(view, unit, order, values[order])


def density(signal: Signal) -> Density:
    """Return how often the unit is active, with an interval that counts independent groups."""
    view, rows = signal.view, prepared(signal.view).rows
    fires: Floats = signal.is_active[rows.by_group].astype(np.float64)
    rate, low, high = (float(each) for each in mean_interval(fires, rows.clusters))
    prompts = np.unique(view.row_prompt[signal.active])
    interval = Interval(
        low=rounded(max(0.0, low)), high=rounded(min(1.0, high)), method="Student t over independent groups"
    )
    return Density(
        rate=rounded(rate),
        interval=interval if rows.clusters.n_groups >= 2 and signal.active.size else None,
        active_rows=signal.active.size,
        rows=view.n_rows,
        active_prompts=prompts.size,
        prompts=view.store.manifest.n_prompts,
        active_groups=np.unique(view.prompt_group[prompts]).size,
        groups=rows.clusters.n_groups,
    )


def activations(signal: Signal) -> Activations | None:
    """Return how the values are spread: of a latent those above zero, of a coordinate all; None if there are none."""
    if not signal.values.size:
        return None
    counts, _ = np.histogram(signal.values.astype(np.float64), bins=BINS)
    return Activations(
        mean=rounded(float(signal.values.mean(dtype=np.float64))),
        median=rounded(float(np.median(signal.values))),
        min=rounded(float(signal.values[-1])),
        max=rounded(float(signal.values[0])),
        counts=tuple(int(count) for count in counts),
    )
