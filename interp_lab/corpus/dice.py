"""Random choices that are the same on every machine and Python version.

Only `random.Random.random` is promised to stay stable by the standard library, so every choice is built on it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A named stream of choices: the same seed and name give the same choices everywhere."""

    def __init__(self, seed: int, name: str = "") -> None:
        self.seed = seed
        self.name = name
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        self._random = random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311

    def fork(self, name: str) -> Dice:
        """An independent stream; forking neither reads nor moves this one."""
        return Dice(self.seed, f"{self.name}/{name}")

    def unit(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random.random() < probability

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One option, all equally likely."""
        return options[int(self._random.random() * len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """One option, likely in proportion to its weight."""
        target = self._random.random() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            target -= weight
            if target < 0:
                return option
        return options[-1]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Distinct options in random order; all of them when count is larger."""
        pool = list(options)
        for place in range(min(count, len(pool))):
            other = self.integer(place, len(pool) - 1)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:count]
