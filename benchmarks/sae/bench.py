"""Train the same TopK SAE with this project and its peers, on identical activations, and print one JSON object.

`python benchmarks/sae/bench.py` measures all nine cells in one run; `--shapes 512x8192 --steps 20` less or more. Every
contestant is a process of its own that takes a few steps in turn with the others, so that all meet the same other
load; CPU seconds of the process are what ratios are made of, wall time is shown beside them. With `--write` every
finished cell is kept at once, and a run that was interrupted goes on behind its last cell, as long as neither the
trainer nor the benchmark nor the settings changed. eai-sparsify and dictionary_learning take part where PYTHONPATH
leads to them: they cannot be installed beside this project's own requirements, and `make bench-sae` puts them without
theirs into a folder of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from activations import Activations
from contest import ROUNDS, serve
from contestants import CONTESTANTS, Shape

SHAPES = {
    "128x1024": (Shape(128, 1024, 4096), 53),
    "128x8192": (Shape(128, 8192, 4096), 5),
    "128x16384": (Shape(128, 16384, 2048), 5),
    "512x1024": (Shape(512, 1024, 4096), 17),
    "512x8192": (Shape(512, 8192, 4096), 5),
    "512x16384": (Shape(512, 16384, 2048), 5),
    "768x1024": (Shape(768, 1024, 2048), 17),
    "768x8192": (Shape(768, 8192, 2048), 5),
    "768x16384": (Shape(768, 16384, 2048), 5),
}
"""Coordinates x latents → sizes and steps; fewer steps where a step of the slowest takes seconds."""
OURS = "interp-lab"
SAME_FVU = 0.005
"""Largest relative difference of held-out FVU at equal tokens that counts as equal."""
_WIDE = {("sae-lens", "cpu_s"): 10.0, ("eai-sparsify", "cpu_s"): 3.4, ("sae-lens", "peak_memory"): 3.0}
TARGETS = {"128x1024": {("sae-lens", "cpu_s"): 3.5}} | dict.fromkeys(
    ("512x8192", "512x16384", "768x8192", "768x16384"), _WIDE
)
"""Shape → (peer, figure) → least ratio to ours; shapes without one are shown only."""
_HERE = Path(__file__).parent
_MEASURED = (_HERE, _HERE.parents[1] / "interp_lab" / "dictionaries")
"""Whose change makes cells that were measured before those of another run."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--only", nargs="*", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, default=None)
    parser.add_argument("--contestant", default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.contestant is not None:
        return serve(chosen.contestant, {name: shape for name, (shape, _) in SHAPES.items()}, chosen.threads)
    found = _run(chosen)
    print(json.dumps(found))
    return 0


def summary(figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios to ours, whether quality is equal and which targets are met."""
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
        "ratios": dict(sorted(ratios.items())),
        "equal": equal,
        "targets_met": met,
        "targets": {
            shape: {"/".join(key): least for key, least in TARGETS.get(shape, {}).items()} for shape in figures
        },
        "figures": figures,
    }


def _run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure cell after cell, those that an interrupted run has measured excepted."""
    run = _identity(chosen)
    figures = _measured_before(chosen.write, run)
    missing = [shape for shape in chosen.shapes if shape not in figures]
    running = _contestants(chosen) if missing else {}
    for shape in missing:
        figures[shape] = _compare(shape, chosen.steps or SHAPES[shape][1], running)
        _keep(chosen.write, run, figures)
    for process in running.values():
        process.communicate()
    return _whole(run, figures)


def _whole(run: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    return {"bench": "sae", "run": run, **summary({shape: figures[shape] for shape in SHAPES if shape in figures})}


def _keep(file: Path | None, run: dict[str, Any], figures: dict[str, Any]) -> None:
    if file is not None:
        part = file.with_suffix(".part")
        part.write_text(json.dumps(_whole(run, figures), indent=2) + "\n", encoding="utf-8")
        part.replace(file)


def _identity(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what must be equal for cells to be of one run."""
    digest = hashlib.sha256()
    for file in sorted(file for folder in _MEASURED for file in folder.rglob("*.py")):
        digest.update(file.read_bytes())
    machine = f"{os.cpu_count()} CPU cores, {chosen.threads} thread each, torch {torch.__version__}"
    contestants = [name for name in CONTESTANTS if name in chosen.only]
    return {"code": digest.hexdigest()[:16], "machine": machine, "contestants": contestants, "steps": chosen.steps}


def _measured_before(file: Path | None, run: dict[str, Any]) -> dict[str, Any]:
    with suppress(OSError, ValueError, KeyError):
        before = json.loads(file.read_text(encoding="utf-8")) if file else {}
        return before["figures"] if before["run"] == run else {}
    return {}


def _contestants(chosen: argparse.Namespace) -> dict[str, subprocess.Popen[str]]:
    """Return the processes of those that can take part."""
    command = [sys.executable, __file__, "--threads", str(chosen.threads), "--contestant"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)}
    running = {
        name: subprocess.Popen(
            [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for name in chosen.only
    }
    return {name: process for name, process in running.items() if _heard(process)}


def _compare(shape: str, steps: int, running: dict[str, subprocess.Popen[str]]) -> dict[str, Any]:
    """Let all contestants train in turns and return their figures."""
    sizes, start = SHAPES[shape][0], time.perf_counter()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        Activations(sizes.d_in, 2 * sizes.n_latents, sizes.batch).write(Path(folder), steps)
        for process in running.values():
            _tell(process, f"{shape} {steps} {folder}")
            _heard(process)
        for _ in range(ROUNDS + 1):
            for name, process in running.items():
                figures[name] = _ask(process)
    _print(shape, figures)
    print(f"{shape:>10} took {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return figures


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _ask(process: subprocess.Popen[str]) -> dict[str, Any]:
    _tell(process, "go")
    return json.loads(_heard(process))


def _heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _print(shape: str, figures: dict[str, Any]) -> None:
    for name, row in figures.items():
        times = f"{row['cpu_ms']:>8} ms cpu {row['wall_ms']:>8} ms wall"
        quality = f"{row['peak_mb']:>5} MB FVU {row['fvu']:.4f} L0 {row['l0']:5.1f}"
        print(f"{shape:>10} {name:<20} {times} {quality}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
