"""Which ways of running work this machine has, and what the others lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interp_lab.contracts.machine import Accelerator, Engine, Memory, Processor, Route

_GIB = 2**30
_HALF_PRECISION = 2
"""Bytes per parameter."""
_FOR_WEIGHTS = 0.6
"""Share of memory that weights may take, so that activations and caches have the rest."""


def routes(
    processor: Processor, memory: Memory, accelerators: Sequence[Accelerator], engines: Sequence[Engine]
) -> tuple[Route, ...]:
    """Return every route, available ones first, the fastest of them at the top."""
    found = [*_local(processor, memory, accelerators), *_beyond(accelerators, engines)]
    rank = {name: place for place, name in enumerate(_FASTEST_FIRST)}
    return tuple(sorted(found, key=lambda route: (not route.available, rank[route.name])))


_FASTEST_FIRST = ("several_gpus", "one_gpu", "cluster", "local_cpu", "remote_api", "streamed_frontier")


def _fits(n_bytes: float) -> str:
    return f"models up to about {_FOR_WEIGHTS * n_bytes / _HALF_PRECISION / 1e9:.1f} B parameters in 16 bits fit"


def _local(processor: Processor, memory: Memory, accelerators: Sequence[Accelerator]) -> Iterator[Route]:
    reason = f"{processor.usable:g} cores and {memory.available / _GIB:.1f} GiB free; {_fits(memory.available)}."
    yield Route(name="local_cpu", available=True, reason=reason)
    if accelerators:
        best = max(accelerators, key=lambda device: device.free)
        reason = f"{best.name} with {best.free / _GIB:.1f} GiB free; {_fits(best.free)}."
        yield Route(name="one_gpu", available=True, reason=reason)
    else:
        missing = ("a CUDA, ROCm or MPS device that torch can use",)
        yield Route(name="one_gpu", available=False, reason="torch sees no accelerator.", missing=missing)
    total = sum(device.free for device in accelerators)
    several = len(accelerators) > 1
    yield Route(
        name="several_gpus",
        available=several,
        reason=f"{len(accelerators)} accelerators with {total / _GIB:.1f} GiB free together.",
        missing=() if several else ("two or more accelerators in this machine",),
    )


def _beyond(accelerators: Sequence[Accelerator], engines: Sequence[Engine]) -> Iterator[Route]:
    clusters = [engine for engine in engines if engine.name in ("ray", "slurm")]
    usable = [engine for engine in clusters if engine.usable]
    reached = "; ".join(f"{engine.name} ({engine.found})" for engine in usable)
    yield Route(
        name="cluster",
        available=bool(usable),
        reason=f"Reachable: {reached}." if usable else "Neither Ray nor Slurm is reachable from here.",
        missing=() if usable else tuple(f"{engine.name}: {engine.found}" for engine in clusters),
    )
    modal = next((engine for engine in engines if engine.name == "modal"), None)
    there = modal is not None and modal.usable
    yield Route(
        name="remote_api",
        available=there,
        reason="modal can run the lab's worker elsewhere." if there else "No service that runs the worker is set up.",
        missing=() if there else ("modal or another service with its credentials",),
    )
    yield Route(
        name="streamed_frontier",
        available=bool(usable) and len(accelerators) > 1,
        reason="Weights over many devices, activations streamed to training and never stored.",
        missing=() if usable and len(accelerators) > 1 else ("a cluster whose nodes have several accelerators",),
    )
