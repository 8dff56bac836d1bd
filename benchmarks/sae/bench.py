"""Train the same TopK SAE with this project and its peers, on identical activations, and print one JSON object.

`python benchmarks/sae/bench.py` measures every shape; `--shapes 512x8192 --steps 20` less or more. Every contestant is
a process of its own that takes a few steps in turn with the others, so that all meet the same other load; CPU seconds
of the process are what ratios are made of, wall time is shown beside them. eai-sparsify and dictionary_learning take
part where PYTHONPATH leads to them: they cannot be installed beside this project's own requirements, and `make
bench-sae` puts them without theirs into a folder of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from activations import Activations, read
from contestants import CONTESTANTS, Shape, make

SHAPES = {
    "128x1024": (Shape(128, 1024, 4096), 30),
    "128x8192": (Shape(128, 8192, 4096), 6),
    "128x16384": (Shape(128, 16384, 2048), 6),
    "512x1024": (Shape(512, 1024, 4096), 6),
    "512x8192": (Shape(512, 8192, 4096), 6),
    "512x16384": (Shape(512, 16384, 2048), 6),
    "768x1024": (Shape(768, 1024, 2048), 6),
    "768x8192": (Shape(768, 8192, 2048), 6),
    "768x16384": (Shape(768, 16384, 2048), 6),
}
"""Coordinates x latents → sizes and steps; fewer steps where a step of the slowest takes seconds."""
HELD_OUT = 1024
"""Rows that quality is measured on."""
ROUNDS = 4
WARM_UP = 2
OURS = "interp-lab"
SAME_FVU = 0.005
"""Largest relative difference of held-out FVU at equal tokens that counts as equal."""
_WIDE = {("sae-lens", "cpu_s"): 10.0, ("eai-sparsify", "cpu_s"): 3.4, ("sae-lens", "peak_memory"): 3.0}
TARGETS = {"128x1024": {("sae-lens", "cpu_s"): 3.5}} | dict.fromkeys(
    ("512x8192", "512x16384", "768x8192", "768x16384"), _WIDE
)
"""Shape → (peer, figure) → least ratio to ours; shapes without one are shown only."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--only", nargs="*", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, default=None)
    parser.add_argument("--contestant", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--batches", type=Path, default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.contestant is not None:
        return _contest(chosen.contestant, *SHAPES[chosen.shapes[0]], chosen)
    figures: dict[str, dict[str, Any]] = {}
    for name in chosen.shapes:
        figures[name] = _compare(name, chosen)
        if chosen.write is not None:
            text = json.dumps(summary(figures, chosen.threads), indent=2)
            chosen.write.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(summary(figures, chosen.threads)))
    return 0


def summary(figures: dict[str, dict[str, Any]], threads: int) -> dict[str, Any]:
    """Return the figures with ratios to ours, whether quality is equal and which targets are met."""
    ratios: dict[str, float] = {}
    equal, met = True, True
    for shape, rows in figures.items():
        ours = rows[OURS]
        for name in rows.keys() - {OURS}:
            ratios[f"{shape}/{name}/cpu_s"] = round(rows[name]["cpu_ms"] / ours["cpu_ms"], 2)
            ratios[f"{shape}/{name}/peak_memory"] = round(rows[name]["peak_mb"] / ours["peak_mb"], 2)
        if "sae-lens" in rows:
            equal &= abs(ours["fvu"] / rows["sae-lens"]["fvu"] - 1.0) <= SAME_FVU
        targets = TARGETS.get(shape, {})
        wanted = {f"{shape}/{peer}/{what}": least for (peer, what), least in targets.items() if peer in rows}
        met &= all(ratios[name] >= least for name, least in wanted.items())
    return {
        "bench": "sae",
        "ratios": dict(sorted(ratios.items())),
        "equal": equal,
        "targets_met": met,
        "targets": {
            shape: {"/".join(key): least for key, least in TARGETS.get(shape, {}).items()} for shape in figures
        },
        "figures": figures,
        "machine": f"{os.cpu_count()} CPU cores, {threads} thread each, torch {torch.__version__}",
    }


def _compare(shape: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Run all contestants in turns and return their figures."""
    sizes, steps = SHAPES[shape]
    with tempfile.TemporaryDirectory() as folder:
        Activations(sizes.d_in, 2 * sizes.n_latents, sizes.batch).write(Path(folder), chosen.steps or steps)
        figures = _take_turns(shape, chosen, folder)
    _print(shape, figures)
    return figures


def _take_turns(shape: str, chosen: argparse.Namespace, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--shapes", shape, "--threads", str(chosen.threads), "--batches", folder]
    command += ["--steps", str(chosen.steps)] if chosen.steps else []
    environment = {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)}
    running = {
        name: subprocess.Popen(
            [*command, "--contestant", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for name in chosen.only
    }
    figures: dict[str, Any] = {}
    for _ in range(ROUNDS + 1):
        for name, process in running.items():
            answer = _ask(process)
            if answer is not None:
                figures[name] = answer
    for process in running.values():
        process.communicate()
    return figures


def _ask(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    if process.poll() is not None:
        return None
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    line = process.stdout.readline()
    return json.loads(line) if line.startswith("{") else None


def _contest(name: str, shape: Shape, steps: int, chosen: argparse.Namespace) -> int:
    """Train a share of the steps at every word from the parent, and answer with the figures so far."""
    torch.set_num_threads(chosen.threads)
    steps = chosen.steps or steps
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        contestant = make(name, shape, steps)
    except ImportError as error:
        print(f"{name} does not take part: {error}", file=sys.stderr)
        return 0
    times: list[tuple[float, float]] = []
    curve: list[float] = []
    peak = 0.0
    for numbers in _shares(steps):
        if not sys.stdin.readline():
            break
        for number in numbers:
            x = read(chosen.batches, number)
            start = time.process_time(), time.perf_counter()
            contestant.step(x)
            times.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        # before the first evaluation, whose memory is not that of training
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        held_out = read(chosen.batches, -1)[:HELD_OUT]
        output, l0 = contestant.reconstruct(held_out)
        curve.append(float((output - held_out).pow(2).sum() / (held_out - held_out.mean(0)).pow(2).sum()))
        answers.write(json.dumps(_figures(times, curve, (l0, peak), shape)) + "\n")
        answers.flush()
    return 0


def _shares(steps: int) -> Iterator[range]:
    """Yield the steps that warm up, then the others in equal rounds."""
    yield range(WARM_UP)
    size = max((steps - WARM_UP) // ROUNDS, 1)
    for start in range(WARM_UP, WARM_UP + ROUNDS * size, size):
        yield range(start, start + size)


def _figures(
    times: list[tuple[float, float]], curve: list[float], others: tuple[float, float], shape: Shape
) -> dict[str, Any]:
    measured = times[WARM_UP:] or times
    cpu, wall = (sorted(column)[len(measured) // 2] for column in zip(*measured, strict=True))
    l0, peak = others
    return {
        "cpu_ms": round(cpu * 1e3, 1),
        "wall_ms": round(wall * 1e3, 1),
        "tokens_per_cpu_s": round(shape.batch / cpu),
        "peak_mb": round(peak),
        "tokens": len(times) * shape.batch,
        "fvu": round(curve[-1], 5),
        "fvu_curve": [round(value, 5) for value in curve],
        "l0": round(l0, 2),
    }


def _print(shape: str, figures: dict[str, Any]) -> None:
    for name, row in figures.items():
        times = f"{row['cpu_ms']:>8} ms cpu {row['wall_ms']:>8} ms wall"
        quality = f"{row['peak_mb']:>5} MB FVU {row['fvu']:.4f} L0 {row['l0']:5.1f}"
        print(f"{shape:>10} {name:<20} {times} {quality}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
