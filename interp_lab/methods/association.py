"""How every latent goes with a label: AUROC with sign and interval, d, r, firing rates, density, p and q.

Association is correlational. It covers all latents that were given, and q corrects for all of them; choosing some to
show comes later. It says nothing about what the latent does in the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.statistics import block_association
from interp_lab.statistics.arrays import Floats, Ints, checked_matrix
from interp_lab.statistics.code_columns import CodeColumns
from interp_lab.statistics.effect_size import effect_size
from interp_lab.statistics.false_discovery import benjamini_hochberg, false_discovery
from interp_lab.statistics.firing import firing
from interp_lab.statistics.power import detectable_auroc
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

_EQUAL_DIGITS = 12
"""AUROCs that agree this far are equal: 0.7 and 0.3 are not equally far from 0.5 in their last bit."""


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """One value per latent `(n_latents,)`, over the rows and groups that the counts name."""

    auroc: Floats
    low: Floats
    high: Floats
    sign: NDArray[np.int8]
    """+1 if higher on positives, -1 if lower, 0 if neither."""
    d: Floats
    """Cohen's d; infinite where the classes differ and neither varies."""
    r: Floats
    """Pearson r with the graded score, point-biserial if there is none."""
    rate_positive: Floats
    rate_negative: Floats
    density: Floats
    """Share of prompts on which the latent fires."""
    p: Floats
    q: Floats
    """Over all latents of this record; where a test of groups has a smallest p, as `false_discovery` says."""
    level: float
    n_rows: int
    n_positive_groups: int
    n_negative_groups: int
    detectable: float
    """Smallest AUROC above 0.5 that this many groups find for one latent, at 1 - level, with power 0.8."""
    least_p: Floats | None = None
    """No labels of these groups give a smaller p; None for a test without such a bound."""

    @property
    def n_latents(self) -> int:
        """Number of latents tested."""
        return int(self.auroc.size)

    def strongest(self, k: int, among: slice = slice(None)) -> Ints:
        """Return the indices of the k latents farthest from AUROC 0.5, the larger |d| first among equals, then by p.

        Many latents may separate the prompts perfectly. How far apart their values lie against the spread still tells
        them apart, while p then only says how the ranks within a side happened to fall.
        """
        distance, apart, p = (key[among] for key in self._keys())
        return np.lexsort((p, apart, distance))[:k] + among.indices(self.n_latents)[0]

    def rank(self, latent: int) -> int:
        """Return the place of a latent in the order of `strongest`; 1 is first."""
        distance, apart, p = self._keys()
        tied = distance == distance[latent]
        close = tied & (apart == apart[latent])
        before = distance < distance[latent], tied & (apart < apart[latent]), close & (p < p[latent])
        return 1 + sum(int(np.count_nonzero(each)) for each in before)

    def _keys(self) -> tuple[Floats, Floats, Floats]:
        """What latents are ordered by, the smallest first."""
        nearness = np.asarray(-np.round(np.abs(self.auroc - 0.5), _EQUAL_DIGITS), dtype=np.float64)
        return nearness, -np.abs(self.d), self.p


def associate(
    values: ArrayLike,
    sample: Sample,
    *,
    scores: ArrayLike | None = None,
    fires_above: float = 0.0,
    level: float = 0.95,
) -> Association:
    """Return the association of every latent of `values` `(n_prompts, n_latents)` with the labels of `sample`.

    `scores` are graded criterion scores `(n_prompts,)` for r; `fires_above` is in the unit of the values.

    Raises:
        ShapeMismatch: `values` or `scores` do not have one row per prompt.
        NonFiniteInput: a value is NaN or infinite; the first bad row and column are named.

    Source: `separation`, `effect_size`, `firing` and `false_discovery` of the statistics package.
    """
    matrix = checked_matrix(values, sample.n_rows)
    found = separation(matrix, sample, level=level)
    size = effect_size(matrix, sample, scores=scores)
    rates = firing(matrix, sample, above=fires_above)
    groups = (sample.n_positive_groups, sample.n_negative_groups)
    return Association(
        auroc=found.auroc,
        low=found.low,
        high=found.high,
        sign=np.sign(found.auroc - 0.5).astype(np.int8),
        d=size.d,
        r=size.r,
        rate_positive=rates.on_positives,
        rate_negative=rates.on_negatives,
        density=rates.density,
        p=found.p,
        q=false_discovery(found.p, found.least_p),
        level=level,
        n_rows=sample.n_rows,
        n_positive_groups=groups[0],
        n_negative_groups=groups[1],
        detectable=detectable_auroc(*groups, alpha=1 - level),
        least_p=found.least_p,
    )


def associate_codes(codes: CodeColumns, sample: Sample, rows: Ints, *, level: float = 0.95) -> Association:
    """Return the association of every column of a sparse table over `rows`, the rows of `sample`.

    The p-value is that of a Student t of group sums of ranks, not of a permutation: it needs one pass over the entries,
    whatever the number of columns, and is 1 for a column that is active in fewer than two groups.

    Source: `block_association` and `benjamini_hochberg` of the statistics package.
    """
    label = block_association.Target(
        name="criterion",
        values=sample.labels[sample.by_group].astype(np.float64),
        known=np.ones(sample.n_rows, dtype=np.bool_),
        is_label=True,
    )
    found = np.empty((7, codes.n_columns))
    for columns, block in codes.blocks(sample, rows):
        part = block_association.associate(block, label, level=level)
        found[:, columns] = part.estimate, part.low, part.high, part.p, part.d, part.rate_with, part.rate_without
    auroc, low, high, p, d, rate_positive, rate_negative = found
    m, n = sample.n_positive, sample.n_negative
    # Point-biserial r is Cohen's d in another unit.
    with np.errstate(invalid="ignore"):
        r = np.where(np.isinf(d), np.sign(d), d / np.sqrt(d**2 + (m + n) * (m + n - 2) / (m * n)))
    groups = (sample.n_positive_groups, sample.n_negative_groups)
    return Association(
        auroc=auroc,
        low=low,
        high=high,
        sign=np.sign(auroc - 0.5).astype(np.int8),
        d=d,
        r=r,
        rate_positive=rate_positive,
        rate_negative=rate_negative,
        density=(m * rate_positive + n * rate_negative) / (m + n),
        p=p,
        q=benjamini_hochberg(p),
        level=level,
        n_rows=sample.n_rows,
        n_positive_groups=groups[0],
        n_negative_groups=groups[1],
        detectable=detectable_auroc(*groups, alpha=1 - level),
    )
