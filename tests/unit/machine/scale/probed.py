"""A machine whose short runs took round times, so that plans can be redone by hand."""

from __future__ import annotations

from interp_lab.contracts.machine import WorkName, WorkTime


def work(what: WorkName, seconds: float, *sizes: int, device: str = "cpu") -> WorkTime:
    """Return a time."""
    return WorkTime(what=what, device=device, sizes=sizes, seconds=seconds, repeats=3, spread=0.1)


def surface(what: WorkName, constant: float, by_input: float, by_latent: float, by_weight: float) -> list[WorkTime]:
    """Return the corners of a surface of times."""
    return [
        work(what, constant + by_input * d + by_latent * n + by_weight * d * n, d, n)
        for d in (128, 512)
        for n in (1024, 8192)
    ]


BLOCK_SECONDS, ATTENDED_SECONDS = 1e-11, 1e-10
"""Of a multiply-add, and per coordinate and token attended to, at both widths."""


def probed() -> tuple[WorkTime, ...]:
    """Return everything that a profile measures."""
    forward = [
        work("forward", 12 * width**2 * BLOCK_SECONDS + width * length * ATTENDED_SECONDS, width, length)
        for width in (128, 512)
        for length in (64, 256)
    ]
    once: dict[WorkName, float] = {
        "worker_start": 5.0,
        "harvest_run": 0.5,
        "harvest_token": 2e-5,
        "train_run": 0.25,
        "intervene": 0.5,
    }
    return (
        *forward,
        *surface("train_step", 1e-3, 1e-6, 1e-6, 1e-8),
        *surface("held_out", 1e-6, 1e-9, 1e-8, 1e-11),
        work("train_dense", 128 * 1024 * 2e-7, 128, 1024),
        work("train_dense", 512 * 4096 * 1e-7, 512, 4096),
        *(work(what, seconds) for what, seconds in once.items()),
    )
