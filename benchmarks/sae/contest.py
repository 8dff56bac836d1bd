"""One contestant: of every cell a share of the steps at every word from the parent, and its figures in answer."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch
from activations import read
from contestants import Contestant, Shape, make

HELD_OUT = 1024
"""Rows that quality is measured on."""
ROUNDS = 3
WARM_UP = 2
_TINY = Shape(16, 64, 16)


def serve(name: str, shapes: Mapping[str, Shape], threads: int) -> int:
    """Compete in one cell after the other, each named by a line `shape steps folder` of standard input.

    Every cell has a process of its own, forked from this one, which has loaded the library once and trained nothing
    big: so the memory of one cell is not that of another, and loading is paid for once.
    """
    torch.set_num_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        # a first step loads all that the library loads late
        make(name, _TINY, 2).step(torch.randn(_TINY.batch, _TINY.d_in))
    except ImportError as error:
        print(f"{name} does not take part: {error}", file=sys.stderr)
        return 0
    _answer(answers, "ready")
    for line in iter(sys.stdin.readline, ""):
        shape, steps, folder = line.split(maxsplit=2)
        child = os.fork()
        if not child:
            # only now may the parent go on: what it said before the fork would be heard twice
            _answer(answers, "begun")
            _compete(make(name, shapes[shape], int(steps)), int(steps), Path(folder.strip()), answers)
            os._exit(0)
        os.waitpid(child, 0)
    return 0


def _compete(contestant: Contestant, steps: int, batches: Path, answers: TextIO) -> None:
    """Train a share of the steps at every line of standard input, and answer each with the figures so far."""
    batch = contestant.shape.batch
    times: list[tuple[float, float]] = []
    curve: list[tuple[int, float]] = []
    peak = 0.0
    for numbers in _shares(steps):
        if not sys.stdin.readline():
            break
        times += [_timed(contestant, read(batches, number)) for number in numbers]
        # before the first evaluation, whose memory is not that of training
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        fvu, l0 = _quality(contestant, read(batches, -1)[:HELD_OUT])
        curve.append((len(times) * batch, round(fvu, 5)))
        figures = {**_speed(times, batch), "peak_mb": round(peak), "l0": round(l0, 2), **_course(curve)}
        _answer(answers, json.dumps(figures))


def _answer(answers: TextIO, line: str) -> None:
    answers.write(line + "\n")
    answers.flush()


def _timed(contestant: Contestant, x: torch.Tensor) -> tuple[float, float]:
    start = time.process_time(), time.perf_counter()
    contestant.step(x)
    return time.process_time() - start[0], time.perf_counter() - start[1]


def _quality(contestant: Contestant, x: torch.Tensor) -> tuple[float, float]:
    output, l0 = contestant.reconstruct(x)
    return float((output - x).pow(2).sum() / (x - x.mean(0)).pow(2).sum()), l0


def _shares(steps: int) -> Iterator[range]:
    """Yield the steps that warm up, then the others in equal rounds."""
    yield range(WARM_UP)
    size = max((steps - WARM_UP) // ROUNDS, 1)
    for start in range(WARM_UP, WARM_UP + ROUNDS * size, size):
        yield range(start, start + size)


def _speed(times: list[tuple[float, float]], batch: int) -> dict[str, Any]:
    measured = times[WARM_UP:] or times
    cpu, wall = (sorted(column)[len(measured) // 2] for column in zip(*measured, strict=True))
    figures = {"cpu_ms": round(cpu * 1e3, 1), "wall_ms": round(wall * 1e3, 1)}
    return {**figures, "least_cpu_ms": round(min(measured)[0] * 1e3, 1), "tokens_per_cpu_s": round(batch / cpu)}


def _course(curve: list[tuple[int, float]]) -> dict[str, Any]:
    return {"tokens": curve[-1][0], "fvu": curve[-1][1], "fvu_curve": curve}
