"""`Sample`: the rows that a statistic is computed on, with their labels and the groups that make them dependent.

The group is the unit of independence (near-duplicates, templates, counterfactual pairs share one). Everything that
counts, permutes or resamples asks a `Sample` and so cannot forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import LabelsUnusable, ShapeMismatch, TooFewGroups
from interp_lab.statistics.arrays import Bools, Floats, Ints, checked_vector


@dataclass(frozen=True, eq=False)
class Sample:
    """Boolean labels `(n_rows,)` and group codes `(n_rows,)` in `0..n_groups-1`; build it with `Sample.of`."""

    labels: Bools
    groups: Ints

    @classmethod
    def of(cls, labels: ArrayLike, groups: Sequence[object] | ArrayLike | None = None) -> Sample:
        """Return the sample of these labels; without `groups` every row is its own group.

        Raises:
            ShapeMismatch: labels are not one flat list, or groups do not match them.
            LabelsUnusable: labels are not booleans (or 0/1), or one class is empty.
            TooFewGroups: a class is seen in fewer than two groups, so that nothing can be said about its spread.
        """
        flat = _boolean(labels)
        codes = np.arange(flat.size, dtype=np.intp) if groups is None else _codes(groups, flat.size)
        sample = cls(flat, codes)
        sample._require_both_classes()
        return sample

    def take(self, rows: Ints | Bools) -> Sample:
        """Return the sample of these rows, with the same refusals as `of`."""
        return Sample.of(self.labels[rows], self.groups[rows])

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.labels.size)

    @cached_property
    def n_groups(self) -> int:
        """Number of independent groups."""
        return int(self.groups.max()) + 1

    @cached_property
    def n_positive(self) -> int:
        """Number of positive rows."""
        return int(self.labels.sum())

    @property
    def n_negative(self) -> int:
        """Number of negative rows."""
        return self.n_rows - self.n_positive

    @cached_property
    def n_positive_groups(self) -> int:
        """Number of groups with a positive row; a group with both labels counts on both sides."""
        return int(np.unique(self.groups[self.labels]).size)

    @cached_property
    def n_negative_groups(self) -> int:
        """Number of groups with a negative row."""
        return int(np.unique(self.groups[~self.labels]).size)

    @cached_property
    def by_group(self) -> Ints:
        """Row indices ordered so that each group's rows are neighbours."""
        return np.argsort(self.groups, kind="stable")

    @cached_property
    def starts(self) -> Ints:
        """Where each group begins in `by_group`."""
        return np.searchsorted(self.groups[self.by_group], np.arange(self.n_groups)).astype(np.intp)

    def group_sums(self, ordered: Floats) -> Floats:
        """Return sums over each group `(..., n_groups)` of an array whose last axis is in the order of `by_group`."""
        if self.n_groups == self.n_rows:
            return ordered
        return np.add.reduceat(ordered, self.starts, axis=-1)

    def _require_both_classes(self) -> None:
        if not 0 < self.n_positive < self.n_rows:
            found = "positive" if self.n_positive else "negative"
            raise LabelsUnusable(f"All {self.n_rows} rows are {found}.")
        smallest = min(self.n_positive_groups, self.n_negative_groups)
        if smallest < 2:
            raise TooFewGroups(
                f"{self.n_positive_groups} positive and {self.n_negative_groups} negative groups: "
                "two of each are the least that has a spread."
            )


def labels_from_scores(scores: ArrayLike, *, positive_from: float, negative_to: float) -> tuple[Bools, Bools]:
    """Return `(labels, kept)`: positive at or above `positive_from`, kept unless strictly between the two thresholds.

    Raises:
        LabelsUnusable: `negative_to` is above `positive_from`.
        NonFiniteInput: a score is NaN or infinite.
    """
    if negative_to > positive_from:
        raise LabelsUnusable(f"negative_to {negative_to} is above positive_from {positive_from}.")
    flat = np.asarray(scores, dtype=np.float64)
    vector = checked_vector(flat, flat.size, "score")
    labels = vector >= positive_from
    return labels, labels | (vector <= negative_to)


def _boolean(labels: ArrayLike) -> Bools:
    flat = np.asarray(labels)
    if flat.ndim != 1:
        raise ShapeMismatch(f"Labels must be one flat list, got shape {flat.shape}.")
    if flat.dtype != np.bool_ and not np.isin(flat, (0, 1)).all():
        raise LabelsUnusable("Labels must be booleans; turn graded scores into labels with explicit thresholds.")
    return flat.astype(np.bool_)


def _codes(groups: Sequence[object] | ArrayLike, n_rows: int) -> Ints:
    flat = np.asarray(groups)
    if flat.shape != (n_rows,):
        raise ShapeMismatch(f"Expected {n_rows} group ids, got an array of shape {flat.shape}.")
    return np.unique(flat, return_inverse=True)[1].reshape(n_rows).astype(np.intp)
