"""What the sizes of groups do to the variance of an AUROC, whose two sides are two means with groups of their own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.group_error import Balance, balance_of


class SideBalance(NamedTuple):
    """Balance of the groups over either side, and of what both add together."""

    positives: Balance
    negatives: Balance
    both: Balance
    pure: bool
    """Whether no group has rows of both sides."""

    @classmethod
    def of(cls, positives: Floats, negatives: Floats) -> SideBalance:
        """Return it from the rows of each side per group `(n_groups,)`; groups without any are not counted."""
        p, n = positives / positives.sum(), negatives / negatives.sum()
        return cls(balance_of(p), balance_of(n), balance_of((p + n) / 2), not bool((p * n).any()))

    def variances(self, positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
        """Return variance and degrees of freedom of columns from what either side of a group adds `(n, n_groups)`.

        Source: group sums, Obuchowski (1997); unequal groups as `balance_of`; degrees of freedom Welch-Satterthwaite.
        """
        part_p, part_n = _squares(positives, self.positives), _squares(negatives, self.negatives)
        total = part_p + part_n if self.pure else _squares(positives + negatives, self.both)
        weight = part_p**2 / self.positives.df + part_n**2 / self.negatives.df
        least = np.minimum(self.positives.df, self.negatives.df)
        df = np.where(weight > 0, (part_p + part_n) ** 2 / np.where(weight > 0, weight, 1.0), least)
        return total, np.clip(df, 1.0, positives.shape[1] - 1)


def _squares(sums: Floats, balance: Balance) -> Floats:
    return np.einsum("ij,ij,j->i", sums, sums, balance.inverse)
