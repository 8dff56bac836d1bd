# pyright: standard
"""Profile this machine: what it has, how fast it is, which ways of running work it offers."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import torch

from interp_lab.contracts.machine import (
    PROFILE_FILE,
    PROFILE_KIND,
    Accelerator,
    MachineProfile,
    MeasuredRate,
    ProfileEnvRequest,
    ProfileEnvResult,
)
from interp_lab.dictionaries.training.probe import SHAPES, training_rate
from interp_lab.engine.probes import WIDTHS, forward_rate
from interp_lab.engine.rates import accelerators, measured_rates
from interp_lab.jobs.filesystem import filesystem_type, mounts
from interp_lab.jobs.run import Run
from interp_lab.machine.hardware import disk, memory, processor
from interp_lab.machine.rate_cache import cache_file, keep_rates, machine_key, read_rates
from interp_lab.machine.routes import routes
from interp_lab.machine.surroundings import credentials, engines, libraries


def profile_env(request: ProfileEnvRequest, run: Run) -> ProfileEnvResult:
    """Return the profile; it is published as an artifact of the run.

    Raises:
        DiskFull: There is no space for the 64 MiB that measure the disk.
    """
    run.progress(0, None, "measuring the machine")
    profile = _profile(request, run)
    with run.artifact(PROFILE_KIND, f"Machine profile of {profile.processor.name}") as artifact:
        artifact.write_json(PROFILE_FILE, profile.model_dump(mode="json"))
    return ProfileEnvResult(summary=_in_words(profile), warnings=tuple(_warnings(profile)), profile=profile)


def _profile(request: ProfileEnvRequest, run: Run) -> MachineProfile:
    devices, found = tuple(accelerators()), tuple(engines())
    cpu, ram = processor(), memory()
    key = machine_key(cpu, ram, devices, torch=torch.__version__, n_threads=torch.get_num_threads())
    kept = None if request.fresh else read_rates(cache_file(key), key)
    if kept is None:
        rates = _measured(request, devices, run)
        keep_rates(cache_file(key), key, rates)
    else:
        rates = kept.rates
    return MachineProfile(
        measured_at=datetime.now(UTC),
        host=hashlib.sha256(platform.node().encode()).hexdigest()[:12],
        system=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        processor=cpu,
        memory=ram,
        disk=disk(run.workspace, filesystem_type(run.workspace.resolve(), mounts())),
        accelerators=devices,
        rates=tuple(rates),
        rates_at=None if kept is None else kept.measured_at,
        libraries=libraries(),
        credentials=credentials(),
        engines=found,
        routes=routes(cpu, ram, devices, found),
    )


def _measured(request: ProfileEnvRequest, devices: Sequence[Accelerator], run: Run) -> Sequence[MeasuredRate]:
    where = ["cpu", *(f"cuda:{i}" for i, d in enumerate(devices) if d.kind != "mps")]
    where += ["mps"] if any(device.kind == "mps" for device in devices) else []
    rates: list[MeasuredRate] = []
    for device in where:
        run.check()
        rates += measured_rates(device, request.seconds / len(where) / 2)
        rates += _own_work(device, request.seconds / len(where) / 2, run)
    return rates


def _own_work(device: str, seconds: float, run: Run) -> Iterator[MeasuredRate]:
    """Yield how fast the lab reads models and trains dictionaries there, each at two sizes."""
    share = seconds / (len(WIDTHS) + len(SHAPES))
    run.progress(0, None, f"measuring the lab's own work on {device}")
    for width in WIDTHS:
        run.check()
        yield forward_rate(width, run.checkpoint_dir, device=device, seconds=share)
    for d_in, n_latents in SHAPES:
        run.check()
        yield training_rate(d_in, n_latents, device=device, seconds=share)


def _in_words(profile: MachineProfile) -> str:
    best = max(
        (rate for rate in profile.rates if rate.unit == "GFLOP/s" and not rate.size), key=lambda rate: rate.value
    )
    where = f"{profile.processor.usable:g} cores, {profile.memory.available / 2**30:.1f} GiB free"
    devices = ", ".join(device.name for device in profile.accelerators) or "no accelerator"
    known = "" if profile.rates_at is None else f", rates known since {profile.rates_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"{where}, {devices}{known}; fastest matrix product measured {best.value:.0f} GFLOP/s "
        f"({best.what} on {best.device}). "
        f"Run work by {profile.routes[0].name}: {profile.routes[0].reason}"
    )


def _warnings(profile: MachineProfile) -> list[str]:
    busy = [rate.what for rate in profile.rates if rate.spread > 1.0]
    said = "The machine was busy: repeats of {} differ more than twofold; measure again (fresh) when it is idle."
    return [said.format(", ".join(dict.fromkeys(busy)))] if busy else []
