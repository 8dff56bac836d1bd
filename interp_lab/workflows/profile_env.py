# pyright: standard
"""Profile this machine: what it has, how fast it is, which ways of running work it offers."""

from __future__ import annotations

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
    WorkTime,
)
from interp_lab.engine.rates import accelerators, measured_rates
from interp_lab.jobs.filesystem import filesystem_type, mounts
from interp_lab.jobs.run import Run
from interp_lab.machine.hardware import disk, memory, processor, this_host
from interp_lab.machine.rate_cache import cache_file, keep_rates, machine_key, read_rates
from interp_lab.machine.routes import routes
from interp_lab.machine.surroundings import credentials, engines, libraries
from interp_lab.workflows.profiling.own_work import own_jobs, own_steps


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
    versions = torch.__version__, run.code_version
    key = machine_key(cpu, ram, devices, versions=versions, n_threads=torch.get_num_threads())
    kept = None if request.fresh else read_rates(cache_file(key), key)
    if kept is None or (request.work and not kept.work):
        kept = None
        rates, work = _measured(request, devices, run)
        keep_rates(cache_file(key), key, rates, work)
    else:
        rates, work = kept.rates, kept.work
    return MachineProfile(
        measured_at=datetime.now(UTC),
        host=this_host(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        processor=cpu,
        memory=ram,
        disk=disk(run.workspace, filesystem_type(run.workspace.resolve(), mounts())),
        accelerators=devices,
        rates=tuple(rates),
        work=tuple(work),
        rates_at=None if kept is None else kept.measured_at,
        libraries=libraries(),
        credentials=credentials(),
        engines=found,
        routes=routes(cpu, ram, devices, found),
    )


def _measured(
    request: ProfileEnvRequest, devices: Sequence[Accelerator], run: Run
) -> tuple[Sequence[MeasuredRate], Sequence[WorkTime]]:
    where = ["cpu", *(f"cuda:{i}" for i, d in enumerate(devices) if d.kind != "mps")]
    where += ["mps"] if any(device.kind == "mps" for device in devices) else []
    rates: list[MeasuredRate] = []
    for device in where:
        run.check()
        rates += measured_rates(device, request.seconds / len(where) / 2)
    return rates, tuple(_own_work(request, where, run)) if request.work else ()


def _own_work(request: ProfileEnvRequest, where: Sequence[str], run: Run) -> Iterator[WorkTime]:
    """Yield how long the lab's own work takes: steps on every device, whole runs where the lab would make them."""
    run.progress(0, None, "making short runs of the lab's own work")
    main = "cpu" if len(where) == 1 else where[1]
    for device in where:
        steps = tuple(own_steps(device, request.seconds / len(where) / 2, run.checkpoint_dir, run.check))
        yield from steps
        if device == main:
            yield from own_jobs(steps, device, run)


def _in_words(profile: MachineProfile) -> str:
    best = max((rate for rate in profile.rates if rate.unit == "GFLOP/s"), key=lambda rate: rate.value)
    where = f"{profile.processor.usable:g} cores, {profile.memory.available / 2**30:.1f} GiB free"
    devices = ", ".join(device.name for device in profile.accelerators) or "no accelerator"
    known = "" if profile.rates_at is None else f", rates known since {profile.rates_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"{where}, {devices}{known}; fastest matrix product measured {best.value:.0f} GFLOP/s "
        f"({best.what} on {best.device}). "
        f"Run work by {profile.routes[0].name}: {profile.routes[0].reason}"
    )


def _warnings(profile: MachineProfile) -> list[str]:
    busy = [each.what for each in (*profile.rates, *profile.work) if each.spread > 1.0]
    said = "The machine was busy: repeats of {} differ more than twofold; measure again (fresh) when it is idle."
    return [said.format(", ".join(dict.fromkeys(busy)))] if busy else []
