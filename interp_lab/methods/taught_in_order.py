"""Which labelled rows teach and which rank, so that no row is scored by what it taught.

Rows are dealt to blocks of whole groups. Every block is scored by what only earlier blocks taught, so its labels are as
exchangeable given its scores as if these had come from elsewhere: a group permutation is a test at its stated level.
(Scores of ordinary cross-validation depend on each other's labels, and are not.) What is kept is taught by all blocks
and scored on rows outside of them.

Source: prequential evaluation, Dawid (1984, Statistical theory: the prequential approach).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.held_out import group_folds
from interp_lab.statistics.sample import Sample

MOST_BLOCKS = 5
GROUPS_A_BLOCK = 4
"""Groups that a block has at least: fewer teach no probe."""


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
