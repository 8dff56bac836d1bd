"""A run by every route: does it fit, how long it takes, what decides it, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from interp_lab.contracts.machine import MachineProfile, RouteName
from interp_lab.contracts.plan_scale import BoundBy, PlanScaleRequest, RoutePlan, Stage, StageTime
from interp_lab.contracts.sizes import bytes_in_words
from interp_lab.machine.scale.costs import MOST_SHARDS, STREAM_ROWS, Costs, calls_for_shards, n_ranks
from interp_lab.machine.scale.devices import DEVICES
from interp_lab.machine.scale.labtimes import LabTimes
from interp_lab.machine.scale.own_times import NOTHING_LEARNED, Learned, Machine, own_times
from interp_lab.machine.scale.speeds import Speed, matrix_speed, published_speed

_BASE = 600 * 2**20
"""Libraries."""
_PASS_BYTES = 256 * 2**20
"""Activations of one pass and what a shard holds back."""
_PER_LATENT = 20_000
"""Bytes of tiles of pre-activations of a step and of a figure; from peaks of runs with 1,024 to 8,192 latents."""
_HOLDS: Mapping[Stage, str] = {"harvest": "weights", "train": "dictionary", "interventions": "edited model"}
_WHILE_READ = {"local_cpu": 2.0}
"""Copies of the weights while they are read: on a processor the file's and the model's."""


class Place(NamedTuple):
    """Where a run could go."""

    route: RouteName
    machine: str
    n_devices: int
    memory: float
    """Bytes of one device."""
    disk: float | None
    write_bytes_per_s: float | None
    speed: Speed | None
    """Of matrix products, where the lab's own work was not measured."""
    own: LabTimes | None = None
    """The lab's own work, measured there."""
    learned: Learned = NOTHING_LEARNED
    """What earlier runs there took."""


def places(
    request: PlanScaleRequest, profile: MachineProfile | None, costs: Costs, learned: Learned = NOTHING_LEARNED
) -> Iterator[Place]:
    """Yield the routes of the profiled machine, then the accelerators that the request asks about.

    `learned` is of its processor.
    """
    if profile is not None:
        yield from _here(request, profile, learned)
    if request.device is not None:
        sheet, speed = DEVICES[request.device], published_speed(request.device)
        route: RouteName = "one_gpu" if request.n_devices == 1 else "several_gpus"
        if request.n_devices > 8:
            route = "streamed_frontier" if costs.stream else "cluster"
        name = f"{request.n_devices} × {request.device}"
        yield Place(route, name, request.n_devices, sheet.memory, request.disk, None, speed)


def _here(request: PlanScaleRequest, profile: MachineProfile, learned: Learned) -> Iterator[Place]:
    disk = float(request.disk or profile.disk.free)
    write = profile.disk.write_mb_per_s * 1e6
    name = f"{profile.processor.name}, {profile.processor.usable:g} cores"
    yield Place("local_cpu", name, 1, profile.memory.available, disk, write, *_speeds(profile, "cpu"), learned)
    usable = [device for device in profile.accelerators if device.kind != "mps"]
    if usable:
        smallest = min(usable, key=lambda device: device.free)
        speeds = _speeds(profile, "cuda:0")
        yield Place("one_gpu", smallest.name, 1, smallest.free, disk, write, *speeds)
        if len(usable) > 1:
            name = f"{len(usable)} × {smallest.name}"
            yield Place("several_gpus", name, len(usable), smallest.free, disk, write, *speeds)


def _speeds(profile: MachineProfile, device: str) -> tuple[Speed | None, LabTimes | None]:
    return matrix_speed(profile.rates, device), LabTimes.of(profile.work, device)


def planned_route(request: PlanScaleRequest, place: Place, costs: Costs) -> RoutePlan:
    """Return the run in that place."""
    needed = max(_memory(place, costs).values())
    used = _memory(place, costs)
    stages = tuple(
        stage.model_copy(update={"memory": used[_HOLDS[stage.stage]]}) for stage in _stages(request, place, costs)
    )
    seconds = sum(stage.seconds for stage in stages) if stages else None
    enough_disk = place.disk is None or _written(costs) <= place.disk
    fits = needed <= place.memory and enough_disk
    hours = (seconds or 0) / 3600
    return RoutePlan(
        route=place.route,
        machine=place.machine,
        n_devices=place.n_devices,
        fits=fits,
        memory_needed=needed,
        memory_there=place.memory,
        stages=stages,
        seconds=seconds,
        bottleneck=_bottleneck(place, costs, stages, enough_disk=enough_disk),
        n_shards=_shards(request, stages, place.n_devices),
        change=tuple(_changes(request, place, costs, enough_disk=enough_disk)),
        risks=tuple(_risks(request, place, costs, stages)),
        money=_money(request.price_per_hour, hours, place.n_devices) if stages else None,
        energy_kwh=_money(request.watts, hours / 1000, place.n_devices) if stages else None,
    )


def _memory(place: Place, costs: Costs) -> dict[str, float]:
    """Return the bytes on one device at the peak of each stage; a model is held whole on every device."""
    weights = costs.weight_bytes * _WHILE_READ.get(place.route, 1.0)
    return {
        "weights": _BASE + _PASS_BYTES + weights,
        "dictionary": _beside_dictionaries(costs) + costs.training_bytes,
        "edited model": costs.edits.memory + weights,
    }


def _beside_dictionaries(costs: Costs) -> float:
    """Return the bytes of a training that are no weights, gradients or moments."""
    held = costs.kept_bytes + costs.weight_bytes if costs.stream else min(_PASS_BYTES, costs.kept_bytes)
    return _BASE + held + _PER_LATENT * costs.n_latents


def _stages(request: PlanScaleRequest, place: Place, costs: Costs) -> Iterator[StageTime]:
    waits = dict(_waits(request, place, costs))
    if place.own is not None and place.write_bytes_per_s:
        machine = Machine(place.own, place.write_bytes_per_s, place.learned)
        network: dict[BoundBy, float] = {"network": waits["network"]} if "network" in waits else {}
        for stage in own_times(request, costs, machine):
            n = 1 if stage.stage == "train" else place.n_devices  # ranks were not measured
            shared = stage.model_copy(update={name: getattr(stage, name) / n for name in ("seconds", "low", "high")})
            yield _waiting(shared, network) if stage.stage == "harvest" else shared
    elif place.speed is not None:
        for stage in _by_speed(place.speed, place.n_devices, costs):
            yield _waiting(stage, waits) if stage.stage == "harvest" else stage


def _by_speed(speed: Speed, n_devices: int, costs: Costs) -> Iterator[StageTime]:
    moved = costs.moved_bytes / speed.bandwidth if speed.bandwidth else 0.0
    work: tuple[tuple[Stage, float, float, int], ...] = (
        ("harvest", costs.harvest_flops, 0.0, n_devices),
        ("train", costs.training_flops, moved, 1 if costs.stream else n_ranks(n_devices)),
        ("interventions", costs.edited_flops, 0.0, n_devices),
    )
    for stage, flops, memory, n in work:
        # every rank moves all weights
        low, planned, high = (flops / rate / n + memory for rate in (speed.high, speed.planned, speed.low))
        bound: BoundBy = "memory" if 2 * memory > planned else "arithmetic"
        basis = (
            f"{speed.basis}; optimiser at {speed.bandwidth / 1e9:,.0f} GB/s"
            if memory and speed.bandwidth
            else speed.basis
        )
        yield StageTime(stage=stage, seconds=planned, low=low, high=high, bound_by=bound, basis=basis)


def _waiting(stage: StageTime, waits: Mapping[BoundBy, float]) -> StageTime:
    """Return the stage with what it waits for besides."""
    extra, slowest = sum(waits.values()), max(waits, key=lambda name: waits[name], default=None)
    bound = slowest if slowest is not None and waits[slowest] > stage.seconds else stage.bound_by
    longer = {name: getattr(stage, name) + extra for name in ("seconds", "low", "high")}
    return stage.model_copy(update={**longer, "bound_by": bound})


def _waits(request: PlanScaleRequest, place: Place, costs: Costs) -> Iterator[tuple[BoundBy, float]]:
    if not costs.stream and place.write_bytes_per_s:
        yield "disk", costs.kept_bytes / place.write_bytes_per_s
    if request.network:
        yield "network", costs.weight_bytes / request.network


def _written(costs: Costs) -> float:
    """Return the most bytes on disk: the store, where there is one, and what the training keeps."""
    return costs.training_disk + (0.0 if costs.stream else costs.kept_bytes)


def _bottleneck(place: Place, costs: Costs, stages: tuple[StageTime, ...], *, enough_disk: bool) -> str:
    memory = _memory(place, costs)
    fullest = max(memory, key=lambda name: memory[name])
    if memory[fullest] > place.memory:
        return f"memory: {fullest} need {bytes_in_words(memory[fullest])} of {bytes_in_words(place.memory)} on a device"
    if not enough_disk:
        store = 0.0 if costs.stream else costs.kept_bytes
        what = "the store" if store >= costs.training_disk else "checkpoints of the training"
        size = bytes_in_words(max(store, costs.training_disk))
        return f"disk: {what} {'takes' if what == 'the store' else 'take'} {size} of {bytes_in_words(place.disk or 0)}"
    if not stages:
        return "unknown: no speed is measured or published for it"
    longest = max(stages, key=lambda stage: stage.seconds)
    return f"{longest.stage}, bound by {longest.bound_by}"


def _shards(request: PlanScaleRequest, stages: tuple[StageTime, ...], n_devices: int) -> int:
    harvest = next((stage.seconds for stage in stages if stage.stage == "harvest"), 0.0)
    # the time is that of all devices together
    return max(n_devices, calls_for_shards(harvest * n_devices, request.shard_hours))


def _changes(request: PlanScaleRequest, place: Place, costs: Costs, *, enough_disk: bool) -> Iterator[str]:
    memory = _memory(place, costs)
    if memory["weights"] > place.memory:
        devices = -(-int(costs.weight_bytes) // max(1, int(place.memory * 0.6)))
        narrower = {"float32": "bfloat16", "bfloat16": "int8"}.get(request.model_dtype)
        if narrower is not None:
            size = costs.weight_bytes / 2
            enough = _BASE + _PASS_BYTES + size * _WHILE_READ.get(place.route, 1.0) <= place.memory
            short = "" if enough else f", still more than {bytes_in_words(place.memory)}"
            yield f"model_dtype '{narrower}': {bytes_in_words(size)} of weights{short}"
        yield (
            f"serve the model with your own engine over at least {devices} such devices, 60 % of each for weights; "
            "more n_devices alone do not help: the lab loads it whole onto each"
        )
    if memory["dictionary"] > place.memory:
        whole = costs.training_bytes
        rest = memory["dictionary"] - whole
        together = int((place.memory - rest) // (whole / costs.n_dictionaries))
        if 0 < together < costs.n_dictionaries:
            yield f"{together} of the {costs.n_dictionaries} dictionaries in one call of train_sae"
        per_latent = whole / costs.n_latents + _PER_LATENT
        n = int((place.memory - rest + _PER_LATENT * costs.n_latents) // per_latent)
        yield f"n_latents {n:,}" if n > 0 else "a device with more memory: not one latent fits beside the rest"
    if not enough_disk and place.disk is not None and costs.training_disk > place.disk:
        yield f"{bytes_in_words(costs.training_disk)} of disk for checkpoints, or smaller dictionaries (n_latents)"
    elif not enough_disk and place.disk is not None:
        tokens = int(costs.tokens * (place.disk - costs.training_disk) / costs.kept_bytes)
        yield f"storage 'streamed' ({STREAM_ROWS:,} tokens in memory, nothing on disk), or tokens {tokens:,}"


def _risks(request: PlanScaleRequest, place: Place, costs: Costs, stages: tuple[StageTime, ...]) -> Iterator[str]:
    if costs.weight_bytes > place.memory:
        yield "the lab loads a model onto one device; over several it has to be served by the operator's own engine"
    elif place.n_devices > 1:
        yield "several devices share the harvest as independent shards, each with its own copy of the model"
    if costs.stream:
        yield "streamed activations can be trained on once; another dictionary reads the corpus again"
    if _shards(request, stages, place.n_devices) > MOST_SHARDS["harvest"]:
        yield f"a harvest has at most {MOST_SHARDS['harvest']:,} shards: each takes longer than shard_hours"
    if request.model_dtype == "int8":
        yield "int8 weights are another model: compare it with the original before claims are carried over"
    longest = max((stage.high for stage in stages), default=0.0)
    if longest > 24 * 3600:
        yield "stages of more than a day: keep shards short, an interrupted one starts again at its last shard"


def _money(per_hour: float | None, hours: float, n_devices: int) -> float | None:
    return None if per_hour is None else per_hour * hours * n_devices
