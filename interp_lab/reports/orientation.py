"""Association in the direction that discovery found, so that 1 is perfect and 0.5 is chance for every coordinate."""

from __future__ import annotations

from typing import Literal, NamedTuple

from interp_lab.contracts.inspect_report import Measured


class Oriented(NamedTuple):
    """An AUROC and its interval, turned so that the direction found on explore prompts lies above 0.5."""

    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, if there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def turned(auroc: float, sign: Literal[-1, 1]) -> float:
    """Return `auroc` as it reads for a coordinate of that sign: itself, or 1 minus it."""
    return auroc if sign == 1 else 1.0 - auroc


def oriented(auroc: Measured, sign: Literal[-1, 1]) -> Oriented:
    """Return an AUROC with its interval in the direction of `sign`."""
    if auroc.interval is None:
        return Oriented(turned(auroc.value, sign), None, None)
    low, high = sorted((turned(auroc.interval.low, sign), turned(auroc.interval.high, sign)))
    return Oriented(turned(auroc.value, sign), low, high)
