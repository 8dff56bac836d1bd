"""Whether a latent goes with this label or with everything: the same statistic against other labels and sub-types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.arrays import Bools, Floats, Matrix, checked_matrix
from interp_lab.statistics.auroc import auroc, weighted_auroc
from interp_lab.statistics.sample import Sample

SAME = 0.99
"""Phi correlation with the target from which a label says the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """One other label or one sub-type of the negatives, against every latent given."""

    name: str
    auroc: Floats
    """`(n_latents,)`."""
    n_positive: int
    n_negative: int
    overlap: float
    """Phi correlation of this label with the target label over the rows; 0 for sub-types."""


@dataclass(frozen=True, slots=True, eq=False)
class Specificity:
    """How the target label compares with other things that the latents may track."""

    target: Floats
    """AUROC for the target label `(n_latents,)`."""
    labels: tuple[Contrast, ...]
    """Every other label that some rows have and some have not."""
    subtypes: tuple[Contrast, ...]
    """Positives against each kind of negative."""
    skipped: tuple[str, ...]
    """Labels that all rows have, or none."""

    @property
    def margin(self) -> Floats:
        """How much farther from 0.5 the target is than the strongest other label `(n_latents,)`; may be negative.

        A label that is the target under another name, or its opposite, is no other label.
        """
        own = np.abs(self.target - 0.5)
        return own - np.max([np.abs(c.auroc - 0.5) for c in self.others], axis=0, initial=0.0)

    @property
    def others(self) -> tuple[Contrast, ...]:
        """Labels that are not the target itself."""
        return tuple(contrast for contrast in self.labels if abs(contrast.overlap) < SAME)

    @property
    def weakest_subtype(self) -> Floats:
        """The smallest AUROC over sub-types, in the direction of the target's `(n_latents,)`; the target's if none."""
        sign = np.where(self.target >= 0.5, 1.0, -1.0)
        each = [(c.auroc - 0.5) * sign for c in self.subtypes] or [(self.target - 0.5) * sign]
        return 0.5 + np.min(each, axis=0) * sign


def specificity(
    values: ArrayLike,
    sample: Sample,
    *,
    labels: Mapping[str, ArrayLike] | None = None,
    subtypes: Sequence[str] | None = None,
) -> Specificity:
    """Return AUROCs of `values` `(n_prompts, n_latents)` for other boolean `labels` and for each negative `subtype`.

    `subtypes` names the kind of every row; only the negatives' names are used. Give the latents of interest
    rather than a whole dictionary: each label costs one pass.

    Raises:
        ShapeMismatch: a label or the sub-types do not have one value per prompt.
        NonFiniteInput: as `checked_matrix`.
    """
    matrix = checked_matrix(values, sample.n_rows)
    others = {name: _one_per_row(label, sample, name).astype(np.bool_) for name, label in (labels or {}).items()}
    kinds = {} if subtypes is None else _negatives_by_kind(_one_per_row(subtypes, sample, "subtypes"), sample)
    usable = {name: label for name, label in others.items() if label.any() and not label.all()}
    return Specificity(
        auroc(matrix, sample.labels),
        tuple(_label_contrast(name, matrix, label, sample) for name, label in usable.items()),
        _subtype_contrasts(matrix, kinds, sample),
        tuple(name for name in others if name not in usable),
    )


def _one_per_row(values: ArrayLike, sample: Sample, name: str) -> NDArray[Any]:
    flat = np.asarray(values)
    if flat.shape != (sample.n_rows,):
        raise ShapeMismatch(f"Expected {sample.n_rows} values of {name}, got an array of shape {flat.shape}.")
    return flat


def _negatives_by_kind(kinds: NDArray[Any], sample: Sample) -> dict[str, Bools]:
    return {str(kind): ~sample.labels & (kinds == kind) for kind in np.unique(kinds[~sample.labels])}


def _label_contrast(name: str, matrix: Matrix, label: Bools, sample: Sample) -> Contrast:
    n = int(label.sum())
    phi = float(np.corrcoef(label, sample.labels)[0, 1])
    return Contrast(name, auroc(matrix, label), n, sample.n_rows - n, phi)


def _subtype_contrasts(matrix: Matrix, kinds: Mapping[str, Bools], sample: Sample) -> tuple[Contrast, ...]:
    if not kinds:
        return ()
    tables = weighted_auroc(matrix, sample.labels, np.stack([mask | sample.labels for mask in kinds.values()]))
    return tuple(
        Contrast(name, row, sample.n_positive, int(mask.sum()), 0.0)
        for (name, mask), row in zip(kinds.items(), tables, strict=True)
    )
