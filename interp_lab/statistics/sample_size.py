"""How many independent groups it takes to find an effect of a given size: power turned round."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.statistics.power import detectable_auroc, detectable_mean

MOST_GROUPS = 100_000
"""More than anybody will write: an effect that needs more counts as out of reach."""


def groups_for_auroc(away_from_half: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Return the groups of each label that find an AUROC this far from 0.5; None if no number in reach does."""
    return _fewest(lambda n: detectable_auroc(n, n, alpha=alpha, power=power) - 0.5 <= abs(away_from_half))


def groups_for_mean(effect: float, standard_deviation: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Return the groups that find a mean of this size, given the spread between groups; None if none in reach does."""
    return _fewest(lambda n: detectable_mean(standard_deviation, n, alpha=alpha, power=power) <= abs(effect))


def spread_from_detectable(detectable: float, n_groups: int) -> float:
    """Return the standard deviation between groups behind a detectable mean that was reported for so many groups."""
    return detectable / detectable_mean(1.0, n_groups)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    low, high = 2, MOST_GROUPS
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
