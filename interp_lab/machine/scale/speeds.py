"""How fast a device computes where the lab was not measured on it: a share of matrix products, by publications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.contracts.machine import MeasuredRate
from interp_lab.contracts.plan_scale import DeviceName
from interp_lab.machine.scale.devices import DEVICES, UTILISATION, UTILISATION_SOURCE

_GIGA = 1e9


class Speed(NamedTuple):
    """Floating-point operations per second that a stage reaches on one device."""

    low: float
    planned: float
    high: float
    basis: str
    bandwidth: float | None
    """Bytes per second of the device's memory."""


def published_speed(device: DeviceName) -> Speed:
    """Return what large models reach on that device, as a share of its published speed."""
    sheet = DEVICES[device]
    low, planned, high = (share * sheet.flops for share in UTILISATION)
    basis = f"{UTILISATION[1]} ({UTILISATION[0]} to {UTILISATION[2]}; {UTILISATION_SOURCE}) of {sheet.flops / 1e12:.0f}"
    return Speed(low, planned, high, f"{basis} TFLOP/s ({sheet.source})", sheet.bandwidth)


def matrix_speed(rates: Sequence[MeasuredRate], device: str) -> Speed | None:
    """Return the planned share of the fastest matrix product that was measured, or None without one."""
    found = [rate.value * _GIGA for rate in rates if rate.unit == "GFLOP/s" and rate.device == device]
    if not found:
        return None
    low, planned, high = (share * max(found) for share in UTILISATION)
    basis = f"{UTILISATION[1]} ({UTILISATION_SOURCE}) of {max(found) / _GIGA:.0f} GFLOP/s measured for matrix products"
    copies = [rate.value * _GIGA for rate in rates if rate.what == "copy" and rate.device == device]
    return Speed(low, planned, high, basis, max(copies, default=None))
