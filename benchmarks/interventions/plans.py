"""Plans beside runs: what a dry run of `intervene` says of seconds and memory, and what the run then takes.

`python benchmarks/interventions/plans.py --out plans.json` makes one run of each model that counts for nothing but its
speed, then plans and carries out requests of several sizes, each in a process of its own. Seconds are processor seconds
of one thread, which are those of the clock on an idle machine; memory is the largest resident size.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

RESULTS = Path(__file__).parents[1] / "results" / "intervention_plans.json"
WITHIN = 1.3
MODELS = ("builtin:pocket-gpt2", "builtin:pocket-llama")
SIZES: tuple[dict[str, Any], ...] = (
    {"n_units": 1, "layer": 1, "edits": ["ablate_zero"], "n_controls": 3, "dataset": "person-name"},
    {"n_units": 2, "layer": 0, "edits": ["ablate_mean", "amplify"], "n_controls": 3, "dataset": "refusal"},
    {"n_units": 8, "layer": 2, "edits": ["ablate_zero"], "n_controls": 2, "dataset": "negation"},
    {"n_units": 4, "layer": 1, "edits": ["steer"], "n_controls": 4, "dataset": "question", "where": "last"},
    {"n_units": 12, "layer": 0, "edits": ["ablate_zero", "amplify"], "n_controls": 2, "dataset": "positive-sentiment"},
)
FEW: tuple[dict[str, Any], ...] = (
    {"n_units": 3, "layer": 2, "edits": ["amplify"], "n_controls": 1, "dataset": "quoted-speech"},
    {"n_units": 5, "layer": 1, "edits": ["ablate_zero"], "n_controls": 2, "dataset": "evaluation-talk"},
)
FIRST = {"n_units": 3, "layer": 1, "edits": ["ablate_zero"], "n_controls": 2, "dataset": "date-or-month"}


def request_of(model: str, size: dict[str, Any]) -> dict[str, Any]:
    """Return the request of one size."""
    units = [{"address": f"resid_post.{size['layer']}", "index": 3 + 5 * i} for i in range(size["n_units"])]
    rest = {name: value for name, value in size.items() if name not in {"n_units", "layer", "dataset"}}
    dataset = f"builtin:{size['dataset']}"
    return {"model": model, "criterion": "as the set says", "dataset": dataset, "units": units, "threads": 1, **rest}


def carry_out(request: dict[str, Any], workspace: Path) -> dict[str, Any]:
    """Plan and run one request in this process, and return both."""
    from interp_lab.contracts.intervene import InterveneRequest
    from interp_lab.jobs.run import LocalRun
    from interp_lab.settings import Settings
    from interp_lab_tools.intervene import INTERVENE
    from interp_lab_tools.lab import Lab

    settings = Settings(workspace=workspace, offline=True, cpu_slots=1)
    request = {name: value for name, value in request.items() if name != "threads"}
    asked = InterveneRequest.model_validate({**request, "dry_run": False})
    with Lab.open(settings) as lab:
        plan = INTERVENE.plan(asked, lab).details
    from interp_lab.workflows.intervene import intervene

    clock, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as out, LocalRun(Path(out), workspace=workspace) as run:
        intervene(asked, run, settings=settings, suggest=lambda _: ())
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    wanted = ("seconds", "peak_bytes", "n_passes")
    return {"planned": {name: plan[name] for name in wanted}, "cpu_s": cpu, "clock_s": clock, "peak_bytes": peak}


def in_a_process(request: dict[str, Any], workspace: Path) -> dict[str, Any]:
    """Return what `carry_out` returns, in a process of its own."""
    call = [sys.executable, __file__, "--one", json.dumps(request), "--workspace", str(workspace)]
    return json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Compare plans with runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--few", action="store_true", help="two sizes per model")
    parser.add_argument("--one")
    parser.add_argument("--workspace", type=Path)
    options = parser.parse_args()
    if options.one is not None:
        sys.stdout.write(json.dumps(carry_out(json.loads(options.one), options.workspace)) + "\n")
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            first = in_a_process(request_of(model, FIRST), Path(folder))
            rows.append({"model": model, "size": FIRST, "counts": False, **first})
        for model, size in itertools.product(MODELS, FEW if options.few else SIZES):
            rows.append(
                {"model": model, "size": size, "counts": True, **in_a_process(request_of(model, size), Path(folder))}
            )
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    options.out.write_text(json.dumps(summary(rows), indent=1) + "\n", encoding="utf-8")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the shares of runs within the factor, and every row."""
    counted = [row for row in rows if row["counts"]]
    for row in rows:
        row["seconds_ratio"] = round(row["planned"]["seconds"] / row["cpu_s"], 3)
        row["memory_ratio"] = round(row["planned"]["peak_bytes"] / row["peak_bytes"], 3)
    shares = {
        name: sum(1 / WITHIN <= row[name] <= WITHIN for row in counted) / len(counted)
        for name in ("seconds_ratio", "memory_ratio")
    }
    middles = {f"median_{name}": median(row[name] for row in counted) for name in ("seconds_ratio", "memory_ratio")}
    return {"within": WITHIN, "share_within": shares, **middles, "n": len(counted), "rows": rows}


if __name__ == "__main__":
    main()
