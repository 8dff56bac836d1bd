"""Which prompt groups dictionaries are trained on and which only measure them: whole groups, by seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import TrainingSourceUnfit

Ints = NDArray[np.int64]
LEAST_HELD_OUT = 2
"""Groups without which figures have no interval."""


class TokenSplit(NamedTuple):
    """The use of every token."""

    train: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    groups: Ints
    """Prompt group of every token."""

    @property
    def n_train_groups(self) -> int:
        """Groups that are trained on."""
        return int(np.unique(self.groups[self.train]).size)


def split_tokens(groups: Ints, usable: NDArray[np.bool_], share: float, seed: int) -> TokenSplit:
    """Return the split of tokens: groups drawn by seed are held out until they have the share of usable tokens.

    Raises:
        TrainingSourceUnfit: There are fewer than two groups to hold out beside one to train on.
    """
    own, sizes = np.unique(np.asarray(groups[usable], dtype=np.int64), return_counts=True)
    if own.size <= LEAST_HELD_OUT:
        raise TrainingSourceUnfit(
            f"The activations are of {own.size} independent prompt groups; "
            f"{LEAST_HELD_OUT} are held out and at least one is trained on."
        )
    order = np.random.default_rng([seed, 0x5417]).permutation(own.size)
    filled = np.cumsum(sizes[order])
    count = int(np.searchsorted(filled, share * float(filled[-1]))) + 1
    chosen = own[order[: min(max(count, LEAST_HELD_OUT), own.size - 1)]]
    held_out = np.isin(groups, chosen)
    train: NDArray[np.bool_] = usable & ~held_out
    return TokenSplit(train=train, held_out=usable & ~train, groups=groups)
