"""Where every row of a file stands, prompt and position, in twelve bytes a row: a file of any size can be checked."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray


class RowKeys:
    """Prompt number and position of rows, in the order of the file."""

    def __init__(self) -> None:
        self._prompts, self._positions = array("i"), array("q")

    def __len__(self) -> int:
        return len(self._prompts)

    def add(self, prompt: int, position: int) -> None:
        """Add the next row.

        Raises:
            OverflowError: The position has more than 64 bits.
        """
        self._positions.append(position)
        self._prompts.append(prompt)

    @property
    def prompts(self) -> NDArray[np.int32]:
        """Prompt number of every row."""
        return np.frombuffer(self._prompts, np.int32) if self._prompts else np.zeros(0, np.int32)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Position of every row."""
        return np.frombuffer(self._positions, np.int64) if self._positions else np.zeros(0, np.int64)


def first_repeat(prompts: NDArray[np.int32], positions: NDArray[np.int64]) -> int | None:
    """Return the first row whose prompt and position an earlier row has, or None."""
    order = np.lexsort((positions, prompts))  # stable: equal keys stay in the order of the rows
    same = (np.diff(prompts[order]) == 0) & (np.diff(positions[order]) == 0)
    repeated = order[1:][same]
    return int(repeated.min()) if repeated.size else None
