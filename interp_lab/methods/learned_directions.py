"""Directions that labelled activations teach, in such an order that no row is scored by what it taught.

Rows are dealt to blocks of whole groups. Every block is scored by a direction that only earlier blocks taught, so its
labels are as exchangeable given its scores as if the direction had come from elsewhere: a group permutation of those
scores is a test at its stated level. (Scores of ordinary cross-validation depend on each other's labels, and are not.)
The direction that is kept is taught by all blocks and scored on rows outside of them.

Source: prequential evaluation, Dawid (1984, Statistical theory: the prequential approach).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from interp_lab.errors import TooFewGroups
from interp_lab.methods.directions import fit_direction
from interp_lab.methods.probe.fit import Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.held_out import group_folds
from interp_lab.statistics.sample import Sample

Method = Literal["difference_of_means", "linear_discriminant", "principal_component", "probe"]
MOST_BLOCKS = 5
GROUPS_A_BLOCK = 4
"""Groups that a block has at least: fewer teach no probe."""
_RANK_CUT = 1e-9


class Learned(NamedTuple):
    """The directions of one method, each of length 1, or 0 where nothing varies."""

    whole: Floats
    """`(n_directions, width)`, taught by every row."""
    earlier: tuple[Floats, ...]
    """The same taught by the blocks before block 1, 2, and so on; empty for a method that knows no label."""


def blocks_of(sample: Sample, *, seed: int) -> Ints:
    """Return the block `(n_rows,)` of every row, from 0, which teaches only.

    Raises:
        TooFewGroups: there are fewer than eight groups, or than four of a label.
    """
    least = min(sample.n_positive_groups, sample.n_negative_groups)
    n_blocks = min(MOST_BLOCKS, sample.n_groups // GROUPS_A_BLOCK, least // 2)
    if n_blocks < 2:
        raise TooFewGroups(
            f"{sample.n_groups} prompt groups explore, {least} of the label with fewer; a direction is learned from "
            "some and tried on others, for which eight, and four of each label, are the least."
        )
    return group_folds(sample, n_folds=n_blocks, seed=seed)


def learn(method: Method, values: Matrix, sample: Sample, blocks: Ints, *, n_components: int, seed: int) -> Learned:
    """Return the directions of activations `(n_rows, width)`; principal components are several and know no label."""
    if method == "principal_component":
        return Learned(_components(values, n_components), ())
    earlier = (np.flatnonzero(blocks < block) for block in range(1, int(blocks.max()) + 1))
    return Learned(
        _taught(method, values, sample, seed),
        tuple(_taught(method, values[rows], _rows(sample, rows), seed) for rows in earlier),
    )


def in_order(whole: Matrix, earlier: Sequence[Matrix], blocks: Ints) -> Floats:
    """Return scores `(n_rows, n_directions)` of rows by what earlier blocks taught, in the unit of the kept direction.

    `whole` holds the scores of the kept directions, `earlier` those of every earlier one, for all rows. The scores of
    a block are taken from the mean over all rows, in units of the block's own spread, which knows no label; then all
    blocks alike are brought to the mean and spread of the kept scores. (From the mean of their own block they would
    vary less between blocks than a permutation across blocks takes for granted.) Rows of block 0 have no earlier
    direction: they keep the score of the kept one, which they taught.
    """
    found = whole.astype(np.float64)
    if not earlier:
        return found
    middle, spread = found.mean(axis=0), found.std(axis=0)
    for block, scores in enumerate(earlier, start=1):
        rows = blocks == block
        all_rows = scores.astype(np.float64)
        width = all_rows[rows].std(axis=0, ddof=1)
        found[rows] = middle + spread * (all_rows[rows] - all_rows.mean(axis=0)) / np.where(width > 0, width, 1.0)
    return found


def _rows(sample: Sample, rows: Ints) -> Sample:
    return Sample(sample.labels[rows], np.unique(sample.groups[rows], return_inverse=True)[1].ravel())


def _taught(method: Method, values: Matrix, sample: Sample, seed: int) -> Floats:
    if method == "probe":
        target = Target("binary", sample.labels.astype(np.float64), ("without", "with"))
        direction = train(Prepared.of(values), target, sample.groups, seed=seed).linear.directions[:, 0]
    else:
        assert method != "principal_component"
        direction = fit_direction(method, values, sample.labels)
    return _unit(direction[None])


def _components(values: Matrix, n: int) -> Floats:
    """Return the first directions of variance `(n, width)`, each pointing where its largest coordinate does."""
    rows = values.astype(np.float64)
    rows -= rows.mean(axis=0)
    n_rows, width = rows.shape
    squares, vectors = np.linalg.eigh(rows.T @ rows if width <= n_rows else rows @ rows.T)
    order = np.argsort(squares)[::-1][:n]
    kept = order[squares[order] > _RANK_CUT * max(float(squares[-1]), _RANK_CUT)]
    found = vectors[:, kept].T if width <= n_rows else vectors[:, kept].T @ rows
    largest = np.abs(found).argmax(axis=1)
    whole = np.zeros((n, width))
    whole[: kept.size] = found * np.where(found[np.arange(kept.size), largest] < 0, -1.0, 1.0)[:, None]
    return _unit(whole)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)
