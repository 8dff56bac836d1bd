"""How fast a machine does each stage: from its own probes where it was profiled, from publications where it was not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from interp_lab.contracts.machine import MeasuredRate
from interp_lab.contracts.plan_scale import DeviceName
from interp_lab.machine.scale.devices import DEVICES, UTILISATION, UTILISATION_SOURCE

_GIGA = 1e9
_MEASURED_SPREAD = 1.3
"""Estimates from probes are to lie within this factor of what runs take."""


class Speed(NamedTuple):
    """Floating-point operations per second that a stage reaches on one device."""

    low: float
    planned: float
    high: float
    basis: str


def published_speed(device: DeviceName) -> Speed:
    """Return what large models reach on that device, as a share of its published speed."""
    sheet = DEVICES[device]
    low, planned, high = (share * sheet.flops for share in UTILISATION)
    basis = f"{UTILISATION[1]} ({UTILISATION[0]} to {UTILISATION[2]}; {UTILISATION_SOURCE}) of {sheet.flops / 1e12:.0f}"
    return Speed(low, planned, high, f"{basis} TFLOP/s ({sheet.source})")


def measured_speed(rates: Sequence[MeasuredRate], what: str, device: str, *, size: float) -> Speed | None:
    """Return the speed of a stage of that size from probes of two sizes, or None without one.

    Between the sizes of the probes the logarithm of the speed is a straight line over the logarithm of the size;
    beyond them the nearest probe counts.
    """
    probes = sorted((r.size, r.value * _GIGA) for r in rates if r.what == what and r.device == device and r.size)
    if not probes:
        return None
    value = _between(probes, size)
    sizes = " and ".join(f"{value / _GIGA:.0f} GFLOP/s at {found:,}" for found, value in probes)
    basis = f"measured on this machine by profile_env: {sizes}; {value / _GIGA:.0f} at {size:,.0f}"
    return Speed(value / _MEASURED_SPREAD, value, value * _MEASURED_SPREAD, basis)


def matrix_speed(rates: Sequence[MeasuredRate], device: str) -> Speed | None:
    """Return the planned share of the fastest matrix product that was measured, or None without one."""
    found = [rate.value * _GIGA for rate in rates if rate.unit == "GFLOP/s" and rate.device == device and not rate.size]
    if not found:
        return None
    low, planned, high = (share * max(found) for share in UTILISATION)
    basis = f"{UTILISATION[1]} ({UTILISATION_SOURCE}) of {max(found) / _GIGA:.0f} GFLOP/s measured for matrix products"
    return Speed(low, planned, high, basis)


def _between(probes: Sequence[tuple[int, float]], size: float) -> float:
    if size <= probes[0][0]:
        return probes[0][1]
    for (low, slow), (high, fast) in pairwise(probes):
        if size <= high:
            share = math.log(size / low) / math.log(high / low)
            return math.exp(math.log(slow) + share * (math.log(fast) - math.log(slow)))
    return probes[-1][1]
