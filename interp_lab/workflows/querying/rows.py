"""The rows that a question is asked of: chosen by conditions, perhaps sampled, laid out group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interp_lab.contracts.query import RowCount
from interp_lab.contracts.query_conditions import Condition
from interp_lab.errors import EmptySlice
from interp_lab.statistics.arrays import Bools, Ints
from interp_lab.statistics.clusters import Clusters
from interp_lab.workflows.querying.conditions import rows_where
from interp_lab.workflows.querying.view import StoreView


@dataclass(frozen=True, eq=False)
class RowSet:
    """Some rows of a store."""

    view: StoreView
    index: Ints
    """Row numbers in reading order `(n,)`."""
    of_rows: int
    """Rows for which the conditions hold; more than len(index) after sampling."""
    other_groups: Ints | None = None
    """What to lay the rows out by instead of their independent groups, in reading order `(n,)`."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.index.size)

    @property
    def is_all(self) -> bool:
        """Whether these are all rows of the store."""
        return self.n == self.view.n_rows

    @cached_property
    def groups(self) -> Ints:
        """Independent group of every row, in reading order, or what takes its place."""
        if self.other_groups is not None:
            return self.other_groups
        return self.view.prompt_group[self.view.row_prompt[self.index]]

    @cached_property
    def by_group(self) -> Ints:
        """Row numbers ordered by group: the order in which `clusters` and all statistics count them."""
        if (self.groups[1:] >= self.groups[:-1]).all():
            return self.index
        return self.index[np.argsort(self.groups, kind="stable")]

    @cached_property
    def in_order(self) -> bool:
        """Whether `by_group` counts every row of the store as the store does."""
        return self.is_all and self.by_group is self.index

    @cached_property
    def clusters(self) -> Clusters:
        """The groups of `by_group`."""
        return Clusters.of(np.sort(self.groups))

    @cached_property
    def place(self) -> Ints:
        """Place in `by_group` of every row of the store, -1 for rows that are not chosen `(n_rows,)`."""
        place = np.full(self.view.n_rows, -1, dtype=np.int64)
        place[self.by_group] = np.arange(self.n)
        return place

    @cached_property
    def mask(self) -> Bools:
        """Which rows of the store are chosen `(n_rows,)`."""
        chosen = np.zeros(self.view.n_rows, dtype=np.bool_)
        chosen[self.index] = True
        return chosen

    def laid_out_by(self, codes: Ints) -> RowSet:
        """Return those of these rows whose code `(n,)` is not negative, laid out by that code."""
        kept = codes >= 0
        return RowSet(self.view, self.index[kept], self.of_rows, other_groups=codes[kept])

    def count(self) -> RowCount:
        """Return how many rows, prompts and groups there are."""
        return self._count

    @cached_property
    def _count(self) -> RowCount:
        seen = np.zeros(self.view.prompt_group.size, dtype=np.bool_)
        seen[self.view.row_prompt[self.index]] = True
        prompts = np.flatnonzero(seen)
        return RowCount(
            rows=self.n,
            of_rows=self.of_rows,
            prompts=int(prompts.size),
            groups=int(np.unique(self.view.prompt_group[prompts]).size),
            sampled=self.n < self.of_rows,
        )


def choose_rows(
    view: StoreView,
    where: Sequence[Condition],
    *,
    sample: int | None = None,
    seed: int = 0,
    name: str = "The selection",
    may_be_empty: bool = False,
) -> RowSet:
    """Return the rows for which every condition holds, or a seeded draw of `sample` of them.

    Raises:
        EmptySlice: no row is left: nothing is ever computed on none, they can only be listed.
        UnknownField, InvalidCondition: as `rows_where`.
    """
    if not where and sample is None and view.n_rows:
        return _every_row(view)
    index = np.flatnonzero(rows_where(view, where)) if where else np.arange(view.n_rows)
    if not index.size and not may_be_empty:
        raise EmptySlice(f"{name} holds no row of {view.name[:80]!r}.")
    of_rows = int(index.size)
    if sample is not None and sample < of_rows:
        index = np.sort(np.random.default_rng(seed).choice(index, size=sample, replace=False))
    return RowSet(view, index.astype(np.intp), of_rows)


def _every_row(view: StoreView) -> RowSet:
    """All rows of a store, laid out once for as long as it is open: most questions are asked of them."""
    if "every row" not in view.derived:
        view.derived["every row"] = RowSet(view, np.arange(view.n_rows, dtype=np.intp), view.n_rows)
    return view.derived["every row"]
