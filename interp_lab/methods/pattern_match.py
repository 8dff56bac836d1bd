"""Do two units, perhaps of two models, respond alike to the same prompts, beyond the label and the surface?

Both follow a criterion, so both go with its label, and long prompts move many units of any model. What is compared is
what is left within each label after that: whether two units agree on *which* positives are strong and which negatives
are. Similarity is the correlation of these residuals over cells, one per prompt group and label. Two nulls answer two
questions: prompts exchanged between groups (do these two patterns have anything to do with each other?), and all other
units on the other side (is the chosen counterpart closer than units that nobody chose?).

Source: within-stratum permutation of a correlation, Good (2005), Permutation, Parametric and Bootstrap Tests, ch. 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.statistics.arrays import Floats, Ints, checked_matrix
from interp_lab.statistics.sample import Sample

LEAST_GROUPS = 8
"""Groups below which a permutation can hardly reach a small p."""
_BOTH = 2


class Cells(NamedTuple):
    """Residual patterns of many units: one row per prompt group and label."""

    values: Floats
    """`(n_cells, n_units)`, each unit with mean 0 and length 1; all 0 for a unit that does not vary."""
    group: Ints
    """Group of each cell."""
    label: Ints
    """0 or 1."""

    @property
    def n_groups(self) -> int:
        """Groups."""
        return int(np.unique(self.group).size)

    def of(self, units: Sequence[int]) -> Cells:
        """Return the same cells for some of the units."""
        return self._replace(values=self.values[:, list(units)])


class PairTest(NamedTuple):
    """How alike pairs are, and how often chance does as well; one value per pair."""

    similarity: Floats
    """Correlation, in [-1, 1]."""
    low: Floats
    high: Floats
    """95 % interval: percentiles over resampled groups."""
    p_prompts: Floats
    """Share of exchanges of prompts with at least as large a size, the observed one counted."""
    p_units: Floats
    """Share of all units of the right side with at least as large a size, the chosen one counted."""


def cells(values: ArrayLike, sample: Sample, surface: Mapping[str, Floats]) -> Cells:
    """Return the residual patterns of `values` `(n_prompts, n_units)` over group and label.

    `surface` holds covariates `(n_prompts,)`, such as the length, whose linear part is taken out with the label.

    Raises:
        ShapeMismatch: `values` or a covariate has not one row per prompt.
        NonFiniteInput: A value is NaN or infinite.
        TooFewGroups: There are not enough groups to say anything.
    """
    matrix = checked_matrix(values, sample.n_rows).astype(np.float64)
    labels = np.asarray(sample.labels, dtype=np.int64)
    _, groups = np.unique(np.asarray(sample.groups), return_inverse=True)
    columns = [np.asarray(each, dtype=np.float64) for each in surface.values()]
    if any(column.shape != (sample.n_rows,) for column in columns):
        raise ShapeMismatch("A covariate needs one value per prompt.")
    if int(groups.max()) + 1 < LEAST_GROUPS:
        raise TooFewGroups(f"{int(groups.max()) + 1} prompt groups cannot tell a match from chance.")
    left = _residuals(matrix, labels, columns)
    keys, place = np.unique(groups * _BOTH + labels, return_inverse=True)
    sums = np.zeros((keys.size, matrix.shape[1]))
    np.add.at(sums, place, left)
    means = sums / np.bincount(place)[:, None]
    return Cells(_standardised(means, keys % _BOTH), keys // _BOTH, keys % _BOTH)


def similarities(left: Cells, right: Cells) -> Floats:
    """Return the correlation of every unit of one side with every unit of the other `(n_left, n_right)`."""
    return left.values.T @ right.values


def judge_pairs(
    left: Cells, right: Cells, pairs: Sequence[tuple[int, int]], *, n_permutations: int, seed: int
) -> PairTest:
    """Return how alike the pairs are on these cells, which must have had no part in choosing them.

    Groups of one kind (positives only, negatives only, or both) change places whole, so labels stay where they are.
    """
    rng = np.random.default_rng(seed)
    one, two = left.of([a for a, _ in pairs]), right.of([b for _, b in pairs])
    found = _columnwise(one.values, two.values)
    reached = np.ones(len(pairs))
    for _ in range(n_permutations):
        moved = two.values[_exchanged(two, rng)]
        reached += np.abs(_columnwise(one.values, moved)) >= np.abs(found) - 1e-12
    others = np.abs(similarities(one, right))
    beaten = (others >= np.abs(found)[:, None] - 1e-12).sum(1)
    low, high = _interval(one, two, rng)
    return PairTest(found, low, high, reached / (n_permutations + 1), beaten / max(1, right.values.shape[1]))


def _residuals(matrix: Floats, labels: Ints, columns: Sequence[Floats]) -> Floats:
    design = np.stack([labels == 0, labels == 1, *columns], axis=1).astype(np.float64)
    spread = design.std(0)
    design = design[:, (spread > 0) | (np.arange(design.shape[1]) < _BOTH)]
    fitted, *_ = np.linalg.lstsq(design, matrix, rcond=None)
    return matrix - design @ fitted


def _standardised(means: Floats, label: Ints) -> Floats:
    """Return columns of mean 0 within each label and length 1."""
    centred = means.copy()
    for value in (0, 1):
        centred[label == value] -= means[label == value].mean(0) if (label == value).any() else 0.0
    length = np.linalg.norm(centred, axis=0)
    scale = np.abs(means).max(0, initial=0.0) * np.sqrt(len(means))
    varies = length > 1e-9 * np.maximum(scale, 1e-30)
    return np.where(varies, centred / np.where(varies, length, 1.0), 0.0)


def _columnwise(one: Floats, two: Floats) -> Floats:
    """Return the correlation of each column with its partner; columns have mean 0 and length 1."""
    return np.einsum("ij,ij->j", one, two)


def _exchanged(cells: Cells, rng: np.random.Generator) -> Ints:
    """Return cell numbers after groups of the same kind changed places."""
    place = {(int(g), int(y)): i for i, (g, y) in enumerate(zip(cells.group, cells.label, strict=True))}
    kinds: dict[tuple[int, ...], list[int]] = {}
    for group in np.unique(cells.group):
        labels = tuple(sorted(int(y) for y in cells.label[cells.group == group]))
        kinds.setdefault(labels, []).append(int(group))
    moved = np.arange(len(cells.group))
    for labels, members in kinds.items():
        for group, source in zip(members, rng.permutation(members), strict=True):
            for label in labels:
                moved[place[group, label]] = place[int(source), label]
    return moved


def _interval(one: Cells, two: Cells, rng: np.random.Generator, n: int = 500) -> tuple[Floats, Floats]:
    names = np.unique(one.group)
    rows: list[Ints] = [np.flatnonzero(one.group == name) for name in names]
    found: list[Floats] = []
    for _ in range(n):
        drawn: Ints = np.concatenate([rows[int(i)] for i in rng.integers(0, len(rows), len(rows))])
        label = one.label[drawn]
        found.append(_columnwise(_standardised(one.values[drawn], label), _standardised(two.values[drawn], label)))
    low, high = np.percentile(np.stack(found), [2.5, 97.5], axis=0)
    return low, high
