"""Which labellings are equally likely when the label means nothing, given which prompts belong together.

Whole groups exchange labels where each group has one label. In a group that has both, all labels turn over at once: its
positives share one wording and its negatives the other, so the rows of a side never were separate chances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np

from interp_lab.statistics.arrays import Bools, Floats, Ints
from interp_lab.statistics.sample import Sample


@dataclass(frozen=True, eq=False)
class Relabelling:
    """The set of equally likely labellings; rows in the order of `sample.by_group`.

    A rank sum is linear in it: each group has a part (`parts`) and each labelling a factor per group (`observed`,
    `halves`). The factors of pure groups are labels less their mean, those of mixed groups +1 or -1.
    """

    sample: Sample

    @cached_property
    def labels(self) -> Floats:
        """Labels as 0.0 and 1.0 in group order."""
        return self.sample.labels[self.sample.by_group].astype(np.float64)

    @cached_property
    def sizes(self) -> Ints:
        """Rows per group."""
        return np.diff(np.append(self.sample.starts, self.sample.n_rows))

    @cached_property
    def positives(self) -> Floats:
        """Positive rows per group."""
        return self.sample.group_sums(self.labels)

    @cached_property
    def pure(self) -> Bools:
        """Groups whose rows all have one label."""
        return (self.positives == 0) | (self.positives == self.sizes)

    @cached_property
    def unequal(self) -> Bools:
        """Groups with both labels, but not the same number of each."""
        return ~self.pure & (2 * self.positives != self.sizes)

    @cached_property
    def pure_labels(self) -> Floats:
        """Labels of the pure groups less their mean."""
        labels = (self.positives[self.pure] > 0).astype(np.float64)
        return labels - labels.mean() if labels.size else labels

    @cached_property
    def observed(self) -> Floats:
        """Factor of each group under the labels as they are."""
        factors = np.ones(self.sample.n_groups)
        factors[self.pure] = self.pure_labels
        return factors

    @cached_property
    def n_exchanges(self) -> int:
        """Number of ways in which pure groups can exchange labels."""
        return comb(self.pure_labels.size, int(np.count_nonzero(self.pure_labels > 0)))

    @cached_property
    def n_halves(self) -> tuple[int, int]:
        """Numbers of columns of `halves`, as equal as they can be; their product is the number of labellings."""
        n_mixed = int(np.count_nonzero(~self.pure))
        first = max(0, n_mixed - self.n_exchanges.bit_length() + 1) // 2
        return self.n_exchanges << first, 1 << (n_mixed - first)

    @cached_property
    def halves(self) -> tuple[Floats, Floats]:
        """Every labelling as a sum of one column of each table `(n_groups, n)`; ask for it only where n is small."""
        mixed = np.flatnonzero(~self.pure)
        n_first = mixed.size - (self.n_halves[1].bit_length() - 1)
        exchanged, flipped = _exchanged(self.pure_labels), _flipped(n_first)
        first = np.zeros((self.sample.n_groups, self.n_halves[0]))
        first[self.pure] = np.repeat(exchanged, flipped.shape[1], axis=1)
        first[mixed[:n_first]] = np.tile(flipped, exchanged.shape[1])
        second = np.zeros((self.sample.n_groups, self.n_halves[1]))
        second[mixed[n_first:]] = _flipped(mixed.size - n_first)
        return first, second

    def parts(self, ranks: Floats) -> Floats:
        """Return what each group adds to the rank sum `(n_columns, n_groups)`, from centred ranks in group order.

        For a pure group its rank sum. For a mixed one `n_pos * n_neg / n` times the difference of mean ranks between
        its sides, which turns its sign, and nothing else, when the sides change places.
        """
        sums = self.sample.group_sums(ranks)
        if self.pure.all():
            return sums
        # Multiplied before it is divided: ranks are halves of whole numbers, so that equal sides give exactly 0.
        sides = (self.sample.group_sums(ranks * self.labels) * self.sizes - sums * self.positives) / self.sizes
        return np.where(self.pure, sums, sides)

    def drawn(self, rng: np.random.Generator) -> Bools:
        """Return one of the labellings, in the original row order."""
        turned = rng.random(self.sample.n_groups) < 0.5
        labels = np.abs(self.labels - np.repeat(turned & ~self.pure, self.sizes))
        of_group = np.zeros(self.sample.n_groups)
        of_group[self.pure] = rng.permutation(self.positives[self.pure] > 0)
        labels = np.where(np.repeat(self.pure, self.sizes), np.repeat(of_group, self.sizes), labels)
        out = np.empty(labels.size, dtype=np.bool_)
        out[self.sample.by_group] = labels > 0
        return out


def _exchanged(labels: Floats) -> Floats:
    """All ways `(n, n_ways)` to deal these centred labels of two values."""
    high = labels > 0
    ways = np.array(list(combinations(range(labels.size), int(high.sum()))), dtype=np.intp)
    out = np.full((ways.shape[0], labels.size), labels.min(initial=0.0))
    np.put_along_axis(out, ways, labels.max(initial=0.0), axis=1)
    return out.T


def _flipped(n: int) -> Floats:
    """All signs `(n, 2**n)`."""
    bits = (np.arange(1 << n) >> np.arange(n)[:, None]) & 1
    return 1.0 - 2.0 * bits.astype(np.float64)
