"""`Sides`: which rows have a label, which have it not, and on which it is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Bools

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Sides:
    """The side of every row, one byte each, so that looking it up for many entries stays in the cache."""

    codes: NDArray[np.int8]
    """NEGATIVE, POSITIVE or UNKNOWN `(n_rows,)`."""

    @classmethod
    def of(cls, label: Bools, known: Bools) -> Sides:
        """Return the sides of a label; where it is not known it may be anything."""
        return cls(np.where(known, label, UNKNOWN).astype(np.int8))

    @cached_property
    def positive(self) -> Bools:
        """Whether a row has the label."""
        return self.codes == POSITIVE

    @cached_property
    def negative(self) -> Bools:
        """Whether a row is known to be without it."""
        return self.codes == NEGATIVE

    @cached_property
    def n_positive(self) -> int:
        """Number of rows with the label."""
        return int(np.count_nonzero(self.positive))

    @cached_property
    def n_negative(self) -> int:
        """Number of rows known to be without it."""
        return int(np.count_nonzero(self.negative))

    @property
    def n_rows(self) -> int:
        """Number of rows of either side."""
        return self.n_positive + self.n_negative

    @cached_property
    def n_kinds(self) -> int:
        """2 if every row has a side, else 3."""
        return 2 if self.n_rows == self.codes.size else 3
