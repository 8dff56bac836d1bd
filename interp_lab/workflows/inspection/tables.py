# pyright: standard
"""The values that are ranked, one row per prompt and one column per coordinate: dense, or by what is not 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import TooFewGroups
from interp_lab.methods.association import Association, associate, associate_codes
from interp_lab.methods.stability import Stability, stability, stability_of_codes
from interp_lab.statistics.code_columns import CodeColumns
from interp_lab.statistics.sample import Sample

Rows = NDArray[np.intp]
LEVEL = 0.95


class Table(Protocol):
    """What statistics ask of the values, whatever they are kept as."""

    @property
    def density(self) -> NDArray[np.float64]:
        """Share of tokens above zero, `(n_coordinates,)`."""
        ...

    @property
    def columns(self) -> Mapping[Any, slice]:
        """Which columns belong to an address, a dictionary or a column of a store; written as text they are unique."""
        ...

    def locate(self, column: int) -> tuple[Any, int]:
        """Return the site and the index within it of a column."""
        ...

    def place(self, site: str, index: int) -> int | None:
        """Return the column of an index within a site, written as text; None if there is no such column."""
        ...

    def chosen(self, columns: Sequence[int]) -> NDArray[np.float32]:
        """Return some columns `(n_prompts, len(columns))`."""
        ...

    def associate(self, rows: Rows, sample: Sample) -> Association:
        """Return the association of every column over these rows, which are those of the sample."""
        ...

    def stability(self, rows: Rows, sample: Sample, seed: int) -> Stability | None:
        """Return how stable the ranking over these rows is, or None if they are too few to say."""
        ...


class _Located:
    """Finds the site of a column."""

    columns: Mapping[Any, slice]
    units: NDArray[np.intp] | None
    """Index of every column within its site; None where columns are all of it, in order."""

    def locate(self, column: int) -> tuple[Any, int]:
        """Return the site and the index within it of a column."""
        site = next(a for a, columns in self.columns.items() if columns.start <= column < columns.stop)
        return site, column - self.columns[site].start if self.units is None else int(self.units[column])

    def place(self, site: str, index: int) -> int | None:
        """Return the column of an index within a site, written as text; None if there is no such column."""
        own = next((columns for name, columns in self.columns.items() if str(name) == site), None)
        if own is None:
            return None
        if self.units is None:
            return own.start + index if index < own.stop - own.start else None
        found = np.flatnonzero(self.units[own] == index)
        return own.start + int(found[0]) if found.size else None


@dataclass(frozen=True, eq=False)
class Pooled(_Located):
    """Every value, sites side by side."""

    values: NDArray[np.float32]
    """`(n_prompts, n_coordinates)`."""
    density: NDArray[np.float64]
    """Share of tokens above zero, `(n_coordinates,)`."""
    columns: Mapping[Any, slice]
    """Which columns belong to an address or a dictionary."""
    units: NDArray[np.intp] | None = None
    """Index of every column within its site; None where columns are all of it, in order."""

    def chosen(self, columns: Sequence[int]) -> NDArray[np.float32]:
        """Return some columns `(n_prompts, len(columns))`."""
        return self.values[:, list(columns)]

    def associate(self, rows: Rows, sample: Sample) -> Association:
        """Return the association of every column over these rows."""
        return associate(self.values[rows], sample, level=LEVEL)

    def stability(self, rows: Rows, sample: Sample, seed: int) -> Stability | None:
        """Return how stable the ranking over these rows is, or None if they are too few to say."""
        try:
            return stability(self.values[rows], sample, seed=seed)
        except TooFewGroups:
            return None


@dataclass(frozen=True, eq=False)
class Sparse(_Located):
    """Only what is not 0, sites side by side."""

    codes: CodeColumns
    density: NDArray[np.float64]
    """Share of tokens above zero, `(n_coordinates,)`."""
    columns: Mapping[Any, slice]
    """Which columns belong to a column of a store."""
    units: NDArray[np.intp] | None = None
    """Index of every column within its site; None where columns are all of it, in order."""

    def chosen(self, columns: Sequence[int]) -> NDArray[np.float32]:
        """Return some columns `(n_prompts, len(columns))`."""
        return self.codes.take(columns)

    def associate(self, rows: Rows, sample: Sample) -> Association:
        """Return the association of every column over these rows."""
        return associate_codes(self.codes, sample, rows, level=LEVEL)

    def stability(self, rows: Rows, sample: Sample, seed: int) -> Stability | None:
        """Return how stable the ranking over these rows is, or None if they are too few to say."""
        try:
            return stability_of_codes(self.codes, sample, rows, seed=seed)
        except TooFewGroups:
            return None
