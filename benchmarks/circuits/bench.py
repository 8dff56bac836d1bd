# pyright: standard
"""How long find_circuit searches, beside the same exact tests made plainly, and beside what its plan says.

The behaviour is that of a criterion in the box. Contestants make exact tests of the same edges in the same order on the
same prompts: ours (groups of edges that are halved where they matter; a pass begins at the first block that differs),
ours with every pass run as a whole, and one whole pass per edge, as in the algorithm that it comes from. The last is
timed on some of its edges and extrapolated. What is kept is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from interp_lab.contracts.find_circuit import FindCircuitRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.edge_pruning import prune
from interp_lab.settings import Settings
from interp_lab.workflows.circuits.half import Half
from interp_lab.workflows.circuits.opening import Context, open_context
from interp_lab.workflows.circuits.search import attributions_of, gates_of
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

RESULTS = Path(__file__).parents[1] / "results" / "circuit_times.json"
MODELS = ("builtin:pocket-gpt2", "builtin:pocket-llama")
SAMPLED = 24


def asked(model: str, n_prompts: int) -> dict[str, Any]:
    """Return the request that is timed."""
    return {
        "model": model, "criterion": "the word is a person's name", "dataset": "builtin:person-name",
        "ablation": "resample", "n_prompts": n_prompts, "n_steps": 5, "n_controls": 19,
    }  # fmt: skip


def whole_run(model: str, n_prompts: int) -> dict[str, Any]:
    """Return what the plan says and what a real run takes, in a fresh workspace."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(workspace=Path(folder), cpu_slots=1, gpu_slots=0)
        with Lab.open(settings) as lab:
            plan = dispatch(lab, "find_circuit", asked(model, n_prompts)).plan  # type: ignore[union-attr]
        from interp_lab.workflows.find_circuit import find_circuit

        start, cpu = time.perf_counter(), time.process_time()
        with LocalRun(Path(folder) / "out", workspace=Path(folder)) as run:
            request = FindCircuitRequest.model_validate({**asked(model, n_prompts), "dry_run": False})
            result = find_circuit(request, run, settings=settings)
        return {
            "planned_seconds": plan["seconds"], "planned_passes": plan["n_passes"],  # type: ignore[index]
            "seconds": round(time.perf_counter() - start, 2), "cpu_seconds": round(time.process_time() - cpu, 2),
            "edges": result.n_all_edges, "kept": result.n_edges,
        }  # fmt: skip


def contest(model: str, n_prompts: int) -> dict[str, Any]:
    """Return the CPU seconds of every contestant for the pruning alone, and whether they keep the same edges."""
    with tempfile.TemporaryDirectory() as folder:
        with LocalRun(Path(folder) / "out", workspace=Path(folder)) as run:
            request = FindCircuitRequest.model_validate({**asked(model, n_prompts), "dry_run": False})
            context = open_context(request, run, Settings(workspace=Path(folder)))
            order = attributions_of(context)[0].__abs__().argsort(kind="stable").tolist()
            ours = _pruned(context, order, remember=True, group=16)
            whole = _pruned(context, order, remember=False, group=16)
            seconds = _per_edge(context.explore, order)
        return {
            "edges": len(order), "tests": ours["tests"], "seconds": ours["seconds"],
            "whole_passes_over_ours": round(whole["seconds"] / ours["seconds"], 2),
            "one_pass_per_edge_over_ours": round(seconds * (len(order) + 1) / ours["seconds"], 2),
            "same_edges_as_whole_passes": ours["kept"] == whole["kept"],
        }  # fmt: skip


def _pruned(context: Context, order: list[int], *, remember: bool, group: int) -> dict[str, Any]:
    half = _half(context.explore, remember=remember)
    start = time.process_time()
    found = prune(
        order,
        lambda cut: half.faithfulness(gates_of(half.graph, cut, keep=False)),
        tolerance=context.request.tolerance,
        group=group,
    )
    return {"seconds": round(time.process_time() - start, 2), "tests": found.n_tests, "kept": found.kept}


def _half(half: Half, *, remember: bool) -> Half:
    for part in half.parts:
        part.known.clear()
        object.__setattr__(part, "remember", remember)
    return half


def _per_edge(half: Half, order: list[int]) -> float:
    """Return the CPU seconds of one whole pass with one more edge cut, a median."""
    _half(half, remember=False)
    found: list[float] = []
    for n in range(SAMPLED):
        start = time.process_time()
        half.faithfulness(gates_of(half.graph, order[: n + 1], keep=False))
        found.append(time.process_time() - start)
    return statistics.median(found)


def main() -> None:
    """Time both models and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = [
        {
            "model": model,
            "prompts": given.prompts,
            **contest(model, given.prompts),
            "run": whole_run(model, given.prompts),
        }
        for model in given.models
    ]
    found = {"machine": f"{os.cpu_count()} CPU cores, 1 thread, torch {torch.__version__}", "rows": rows}
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
