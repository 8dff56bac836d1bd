"""Whether the ranking of latents would come out the same on other prompts: agreement across halves of the groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import Bools, Floats, Ints, checked_matrix
from interp_lab.statistics.auroc import weighted_auroc
from interp_lab.statistics.block_association import Target, auroc_of
from interp_lab.statistics.code_columns import CodeColumns
from interp_lab.statistics.held_out import group_folds
from interp_lab.statistics.rank_agreement import spearman, top_overlap
from interp_lab.statistics.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Stability:
    """Agreement of two rankings by |AUROC - 0.5|, each from half of the groups; one value per repeat."""

    rank_agreement: Floats
    """Spearman correlation over the latents that vary `(n_repeats,)`."""
    top_overlap: Floats
    """Share of the strongest `top` latents of one half that are among those of the other `(n_repeats,)`."""
    sign_agreement: Floats
    """Per latent `(n_latents,)`: share of repeats in which both halves lie on the same side of 0.5."""
    top: int
    n_compared: int
    """Latents that vary; constant ones would agree for free and are left out of the two rankings."""


def stability(values: ArrayLike, sample: Sample, *, seed: int, repeats: int = 5, top: int = 20) -> Stability:
    """Return how well rankings from random halves of the groups agree, on `values` `(n_prompts, n_latents)`.

    Half of the groups are less than all of them: the agreement is that of a study half this size.

    Raises:
        TooFewGroups: fewer than four groups of a class, or fewer than two latents vary.
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.

    Source: split-half reliability, Spearman (1910), on groups.
    """
    _require_halves(sample)
    matrix = checked_matrix(values, sample.n_rows)
    varying = np.flatnonzero(matrix.min(axis=0) < matrix.max(axis=0))
    return _agreement(weighted_auroc(matrix, sample.labels, _halves(sample, seed, repeats)) - 0.5, varying, top)


def stability_of_codes(
    codes: CodeColumns, sample: Sample, rows: Ints, *, seed: int, repeats: int = 5, top: int = 20
) -> Stability:
    """Return the same for a sparse table over `rows`, the rows of `sample`; only columns with an entry are compared.

    Raises:
        TooFewGroups: as `stability`.
    """
    _require_halves(sample)
    halves = _halves(sample, seed, repeats)[:, sample.by_group]
    labels = sample.labels[sample.by_group].astype(np.float64)
    targets = [Target(name="half", values=labels, known=half, is_label=True) for half in halves]
    table = np.empty((len(targets), codes.n_columns))
    varies = np.zeros(codes.n_columns, dtype=np.bool_)
    for columns, block in codes.blocks(sample, rows):
        varies[columns] = block.active_groups() > 0
        for place, target in enumerate(targets):
            table[place, columns] = auroc_of(block, target) - 0.5
    return _agreement(table, np.flatnonzero(varies), top)


def _require_halves(sample: Sample) -> None:
    if min(sample.n_positive_groups, sample.n_negative_groups) < 4:
        raise TooFewGroups(
            f"{sample.n_positive_groups} positive and {sample.n_negative_groups} negative groups: "
            "four of each are the least that can be halved."
        )


def _halves(sample: Sample, seed: int, repeats: int) -> Bools:
    halves = np.stack([group_folds(sample, n_folds=2, seed=seed + k) for k in range(repeats)])
    return np.concatenate([halves == 0, halves == 1])


def _agreement(table: Floats, varying: Ints, top: int) -> Stability:
    if varying.size < 2:
        raise TooFewGroups("Fewer than two latents vary over these prompts, so there is no ranking to compare.")
    repeats = len(table) // 2
    first, second = table[:repeats], table[repeats:]
    one, other = np.abs(first[:, varying]), np.abs(second[:, varying])
    return Stability(
        np.array([spearman(a, b) for a, b in zip(one, other, strict=True)]),
        np.array([top_overlap(a, b, top) for a, b in zip(one, other, strict=True)]),
        np.mean(first * second > 0, axis=0),
        top,
        int(varying.size),
    )
