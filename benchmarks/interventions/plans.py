"""Plans beside runs: what dry runs say of seconds and memory, and what the runs then take.

`python benchmarks/interventions/plans.py --out plans.json` makes of every kind of run one per model that counts for
nothing but its speed, then plans and carries out several sizes, each in a process of its own. Seconds are processor
seconds of one thread, which are those of the clock on an idle machine; memory is the largest resident size.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

RESULTS = Path(__file__).parents[1] / "results" / "intervention_plans.json"
WITHIN = 1.3
MODELS = ("builtin:pocket-gpt2", "builtin:pocket-llama")
KINDS = (
    "intervene",
    "patch_activations",
    "trace_paths",
    "validate_paths",
    "find_circuit",
    "make_steering_vector",
    "steer",
)
WRITING: dict[str, Any] = {"metric": "score", "scorer": {"name": "length", "max_new_tokens": 8}}
FEWEST: dict[str, Any] = {"together": True, "alone": False, "smallest": True}
SIZES: dict[str, tuple[dict[str, Any], ...]] = {
    "intervene": (
        {"n_units": 2, "layer": 0, "edits": ["ablate_zero"], "n_controls": 2, "dataset": "refusal"},
        {"n_units": 3, "layer": 2, "edits": ["steer"], "n_controls": 1, "dataset": "question", "where": "last"},
        {"n_units": 1, "layer": 3, "edits": ["ablate_mean", "amplify"], "n_controls": 4, "dataset": "quoted-speech"},
        {"n_units": 1, "layer": 1, "edits": ["ablate_zero"], "n_controls": 1, "dataset": "measurement-unit", **WRITING},
        {"n_units": 4, "layer": 2, "edits": ["ablate_zero"], "n_controls": 2, "dataset": "question", **FEWEST},
        {"n_units": 16, "layer": 2, "edits": ["ablate_zero"], "n_controls": 1, "dataset": "person-name"},
        {"n_units": 32, "layer": 2, "edits": ["ablate_zero"], "n_controls": 1, "dataset": "question"},
    ),
    "patch_activations": (
        {"dataset": "positive-sentiment", "max_pairs": 12, "components": ["attn_out", "mlp_out"], "top_k": 4},
        {"dataset": "person-name", "max_pairs": 12, "ways": ["denoising"], "n_controls": 2},
    ),
    "trace_paths": (
        {"n_sources": 2, "n_targets": 3, "layer": 0, "dataset": "quoted-speech", "n_controls": 3},
        {"n_sources": 1, "n_targets": 3, "layer": 1, "dataset": "question", "n_controls": 8},
    ),
    "validate_paths": (
        {"n_sources": 3, "n_targets": 2, "layer": 0, "dataset": "negation", "n_controls": 4},
        {"n_sources": 1, "n_targets": 3, "layer": 2, "dataset": "question", "n_controls": 8},
    ),
    "find_circuit": (
        {"dataset": "question", "n_prompts": 6, "n_steps": 4, "n_controls": 19, "metric": "kl"},
        {"dataset": "person-name", "n_prompts": 4, "n_steps": 8, "n_controls": 39, "ablation": "zero", "metric": "kl"},
        {"dataset": "negation", "n_prompts": 8, "n_steps": 4, "n_controls": 19, "metric": "kl", "tolerance": 0.003},
    ),
    "make_steering_vector": (
        {"dataset": "refusal"},
        {"dataset": "question", "source": {"kind": "contrast", "method": "probe"}},
        {"dataset": "negation", "source": {"kind": "contrast", "addresses": ["resid_post.1"]}},
    ),
    "steer": (
        {"dataset": "refusal", "strengths": [0.2, 0.8], "max_new_tokens": 24},
        {"dataset": "question", "strengths": [0.4], "max_new_tokens": 4, "n_controls": 2, "scorer": "target_logit"},
        {"dataset": "negation", "strengths": [0.1, 0.4], "max_new_tokens": 8, "max_prompts": 60, "n_controls": 8},
    ),
}
FIRST: dict[str, dict[str, Any]] = {
    "intervene": {"n_units": 3, "layer": 1, "edits": ["ablate_zero"], "n_controls": 2, "dataset": "date-or-month"},
    "patch_activations": {"dataset": "positive-sentiment", "max_pairs": 8},
    "trace_paths": {"n_sources": 2, "n_targets": 2, "layer": 1, "dataset": "date-or-month", "n_controls": 3},
    "validate_paths": {"n_sources": 2, "n_targets": 2, "layer": 1, "dataset": "date-or-month", "n_controls": 3},
    "find_circuit": {"dataset": "date-or-month", "n_prompts": 4, "n_steps": 4, "n_controls": 19, "metric": "kl"},
    "make_steering_vector": {"dataset": "date-or-month"},
    "steer": {"dataset": "date-or-month", "strengths": [0.4]},
}
ONE_MODEL = ("patch_activations", "validate_paths", "find_circuit", "make_steering_vector", "steer")
"""Kinds whose runs are made in the first model only."""


def request_of(kind: str, model: str, size: dict[str, Any]) -> dict[str, Any]:
    """Return the request of one size."""
    own = {"n_units", "n_sources", "n_targets", "layer", "dataset"}
    rest = {name: value for name, value in size.items() if name not in own}
    units = [{"address": f"resid_post.{size.get('layer', 0)}", "index": 3 + 4 * i} for i in range(32)]
    later = [{"address": "resid_post.3", "index": 2 + 7 * i} for i in range(16)]
    sources, targets = units[: size.get("n_sources", 0)], later[: size.get("n_targets", 0)]
    named: dict[str, dict[str, Any]] = {
        "intervene": {"units": units[: size.get("n_units", 0)]},
        "trace_paths": {"sources": sources, "targets": targets},
        "validate_paths": {"pairs": [f"{_name(one)}={_name(other)}" for one in sources for other in targets]},
        "steer": {"vector": _vector(model, f"builtin:{size['dataset']}")},
    }
    dataset = f"builtin:{size['dataset']}"
    return {
        "model": model,
        "criterion": "as the set says",
        "dataset": dataset,
        "dry_run": False,
        **named.get(kind, {}),
        **rest,
    }


def _vector(model: str, dataset: str) -> str:
    """Where the vector of a set lies that was made for a model."""
    return f"directions/{'-'.join(each.rpartition(':')[2] for each in (model, dataset))}"


def _name(unit: dict[str, Any]) -> str:
    return f"{unit['address']}#{unit['index']}"


def carry_out(kind: str, request: dict[str, Any], workspace: Path) -> dict[str, Any]:
    """Plan and run one request in this process, and return both."""
    from interp_lab.jobs.run import LocalRun
    from interp_lab.settings import Settings
    from interp_lab.workflows.tracing.context import Suggest
    from interp_lab_tools.catalogue import CAPABILITIES
    from interp_lab_tools.lab import Lab

    settings = Settings(workspace=workspace, offline=True, cpu_slots=1)
    (capability,) = [each for each in CAPABILITIES if each.name == kind]
    asked = capability.request.model_validate(request)
    with Lab.open(settings) as lab:
        plan = capability.plan(asked, lab).details  # pyright: ignore[reportAttributeAccessIssue]
    workflow = getattr(importlib.import_module(f"interp_lab.workflows.{kind}"), kind)
    suggest = Suggest() if kind.endswith("_paths") else lambda _: ()

    clock, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as out:
        with LocalRun(Path(out), workspace=workspace) as run:
            workflow(asked, run, settings=settings, suggest=suggest)
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        for vector in Path(out).rglob("direction.json"):  # for the runs that steer with it
            kept = workspace / _vector(request["model"], request["dataset"])
            shutil.copytree(vector.parent, kept, dirs_exist_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    planned = {name: plan.get(name) for name in ("seconds", "peak_bytes", "n_passes")}
    return {"planned": planned, "cpu_s": cpu, "clock_s": clock, "peak_bytes": peak}


def in_a_process(kind: str, request: dict[str, Any], workspace: Path) -> dict[str, Any]:
    """Return what `carry_out` returns, in a process of its own."""
    call = [sys.executable, __file__, "--one", json.dumps([kind, request]), "--workspace", str(workspace)]
    return json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Compare plans with runs; rows are kept in the workspace, so that a run that was cut off goes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one")
    parser.add_argument("--workspace", type=Path, help="kept, so that a run that was cut off goes on")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no run after so many")
    options = parser.parse_args()
    if options.one is not None:
        sys.stdout.write(json.dumps(carry_out(*json.loads(options.one), options.workspace)) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace or Path(folder)
        kept = workspace / "rows.jsonl"
        rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
        until = time.monotonic() + 60 * options.minutes
        for kind, model, size, counts in list(every_run())[len(rows) :]:
            if time.monotonic() > until:
                break
            found = in_a_process(kind, request_of(kind, model, size), workspace)
            rows.append({"kind": kind, "model": model, "size": size, "counts": counts, **found})
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    options.out.write_text(json.dumps(summary(rows), indent=1) + "\n", encoding="utf-8")


def every_run() -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Yield kind, model, size and whether the run counts: the first of a kind and model only tells its speed."""
    for kind, model in itertools.product(KINDS, MODELS):
        if kind in ONE_MODEL and model != MODELS[0]:
            continue
        yield kind, model, FIRST[kind], False
        for size in SIZES[kind]:
            yield kind, model, size, True


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the shares of runs within the factor, over all and by kind, and every row."""
    for row in rows:
        row["seconds_ratio"] = round(row["planned"]["seconds"] / row["cpu_s"], 3)
        if (planned := row["planned"]["peak_bytes"]) is not None:
            row["memory_ratio"] = round(planned / row["peak_bytes"], 3)
    counted = [row for row in rows if row["counts"]]
    by_kind = {kind: [row for row in counted if row["kind"] == kind] for kind in KINDS}
    shares = {
        name: _within([row[name] for row in counted if name in row]) for name in ("seconds_ratio", "memory_ratio")
    }
    kinds = {kind: _within([row["seconds_ratio"] for row in own]) for kind, own in by_kind.items() if own}
    return {"within": WITHIN, "share_within": shares, "seconds_by_kind": kinds, "n": len(counted), "rows": rows}


def _within(ratios: list[float]) -> dict[str, float]:
    return {
        "share": round(sum(1 / WITHIN <= ratio <= WITHIN for ratio in ratios) / len(ratios), 3),
        "median": round(median(ratios), 3),
        "n": len(ratios),
    }


if __name__ == "__main__":
    main()
