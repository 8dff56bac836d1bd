"""What a sample of this size could have seen: the smallest effect that a test would find with the stated power."""

from __future__ import annotations

import math

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.distributions import normal_quantile, student_critical_value


def detectable_auroc(
    n_positive_groups: int, n_negative_groups: int, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest AUROC above 0.5 (mirror it for below) that this many groups find with `power`; at most 1.

    Groups are counted as single rows, which is right when rows inside a group say the same and cautious otherwise.
    Divide `alpha` by the number of columns tested for what survives correction.

    Source: rank-sum variance under the null, Noether (1987).
    """
    _require_two(min(n_positive_groups, n_negative_groups))
    variance = (n_positive_groups + n_negative_groups + 1) / (12 * n_positive_groups * n_negative_groups)
    return min(1.0, 0.5 + _multiplier(alpha, power) * math.sqrt(variance))


def detectable_mean(standard_deviation: float, n_groups: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest mean, in the unit of `standard_deviation` (between groups), found with `power`.

    Source: Student quantiles for both error rates; within 2 % of the noncentral t from 5 groups on.
    """
    _require_two(n_groups)
    df = n_groups - 1
    critical = student_critical_value(1 - alpha, df) + student_critical_value(2 * power - 1, df)
    return critical * standard_deviation / math.sqrt(n_groups)


def _multiplier(alpha: float, power: float) -> float:
    return normal_quantile(1 - alpha / 2) + normal_quantile(power)


def _require_two(n_groups: int) -> None:
    if n_groups < 2:
        raise TooFewGroups(f"{n_groups} groups have no spread, so no power either.")
