"""The rates of this machine, kept per user beside other caches: measured once, until hardware or torch changes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.durable import replace_quickly
from interp_lab.contracts.base import Contract
from interp_lab.contracts.machine import Accelerator, MeasuredRate, Memory, Processor, WorkTime
from interp_lab.errors import DiskFull

PROBES = 2
"""Moves when what is measured changes, so that rates of other probes are not taken for these."""


class KeptRates(Contract):
    """What a file of the cache holds."""

    key: str
    measured_at: AwareDatetime
    rates: tuple[MeasuredRate, ...]
    work: tuple[WorkTime, ...] = ()


def machine_key(
    processor: Processor,
    memory: Memory,
    accelerators: Sequence[Accelerator],
    *,
    versions: Sequence[str],
    n_threads: int,
) -> str:
    """Return what the rates depend on, hashed: processor, cores, memory, accelerators, software, threads, probes."""
    devices = [[device.name, device.memory] for device in accelerators]
    hardware = [processor.name, processor.cores, processor.usable, list(processor.features), memory.total, devices]
    return sha256_hex(canonical_json([PROBES, hardware, list(versions), n_threads]))


def cache_file(key: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the rates of that machine are kept."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "interp-lab" / f"rates-{key[:16]}.json"


def read_rates(file: Path, key: str) -> KeptRates | None:
    """Return the kept rates, or None where there are none of this key that can be read."""
    try:
        kept = KeptRates.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return kept if kept.key == key and kept.rates else None


def keep_rates(file: Path, key: str, rates: Sequence[MeasuredRate], work: Sequence[WorkTime] = ()) -> None:
    """Keep what was measured; where that cannot be written, it is measured again next time."""
    kept = KeptRates(key=key, measured_at=datetime.now(UTC), rates=tuple(rates), work=tuple(work))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_quickly(file, kept.model_dump_json().encode())
    except (OSError, DiskFull):
        return
