"""Hand-set circuits: edge and node AUROC of find_circuit by ablation, beside random weights of the same shape.

Results join a JSON file, world by world. The figures of the ACDC authors are for other models that run the same two
programs (compiled by Tracr), so only the perfect row is a target; the others are there to be read beside.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from interp_lab.contracts.circuit_report import CircuitEdge, CircuitReport
from interp_lab.contracts.find_circuit import FindCircuitRequest
from interp_lab.contracts.worlds import CircuitTruth
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.statistics.auroc import auroc
from interp_lab.workflows.find_circuit import find_circuit
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world

RESULTS = Path(__file__).parents[1] / "results" / "circuits.json"
KINDS = ("proportion", "reverse", "induction", "gates")
ABLATIONS = ("zero", "mean", "resample")
PUBLISHED = {
    "source": "Conmy et al. 2023, results committed with their code (AUC over edges and nodes, L2 metric)",
    "proportion": {"zero": [1.0, 1.0], "resample": [0.6, 0.727]},
    "reverse": {"zero": [1.0, 1.0], "resample": [0.2, 0.312]},
}


def circuit_of(folder: Path, ablation: str) -> CircuitReport:
    """Return the report of one search."""
    request = FindCircuitRequest.model_validate(
        {
            "model": "model",
            "criterion": "the program of the world",
            "dataset": {"path": "prompts.jsonl"},
            "ablation": ablation,
            "metric": "squared_error",
            "positions": "every",
            "tolerance": 1e-3,
            "dry_run": False,
        }
    )
    with LocalRun(folder / f"out-{ablation}", workspace=folder) as run:
        find_circuit(request, run, settings=Settings(workspace=folder))
    return CircuitReport.model_validate_json((run.written[0] / "report.json").read_text())


def scored(report: CircuitReport, truth: CircuitTruth) -> dict[str, Any]:
    """Return how well edges and nodes are told apart, by exact cost and by attribution alone."""
    edges = {(edge.source, edge.target): edge.in_circuit for edge in truth.edges}
    nodes = {node.name: node.in_circuit for node in truth.nodes}
    labels = [edges[edge.source, edge.target] for edge in report.edges]
    return {
        "edge_auroc": _auroc([edge.cost for edge in report.edges], labels),
        "node_auroc": _auroc([node.cost for node in report.nodes], [nodes[node.name] for node in report.nodes]),
        "edge_auroc_within_readers": within_readers(report, labels),
        "edge_auroc_of_place": _auroc([_place(edge) for edge in report.edges], labels),
        "edge_auroc_attribution": _auroc([abs(edge.attribution) for edge in report.edges], labels),
        "kept_exactly": [edge.in_circuit for edge in report.edges] == labels,
        "faithfulness": report.circuit.faithfulness,
        "completeness": report.circuit.completeness,
        "random_largest": report.controls.largest,
        "n_edges": report.circuit.n_edges,
        "n_tests": report.n_tests,
        "grade": report.grade,
    }


def within_readers(report: CircuitReport, labels: list[bool]) -> float | None:
    """Return the edge AUROC over pairs of edges into the same reader: what the place of an edge tells is taken out."""
    wins, pairs = 0.0, 0
    for reader in dict.fromkeys(edge.target for edge in report.edges):
        rows = [(e.cost, on) for e, on in zip(report.edges, labels, strict=True) if e.target == reader]
        on, off = ([cost for cost, kept in rows if kept is wanted] for wanted in (True, False))
        wins += sum((a > b) + 0.5 * (a == b) for a in on for b in off)
        pairs += len(on) * len(off)
    return wins / pairs if pairs else None


def _place(edge: CircuitEdge) -> float:
    """A guess that looks at no weight: edges into the logits first, then late readers."""
    return 10_000.0 if edge.target == "logits" else float(edge.target.split(".")[1])


def scrambled(folder: Path, seed: int) -> None:
    """Replace the weights of a world's model by random ones."""
    model: Any = GPT2LMHeadModel.from_pretrained(folder / "model")
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".ln_" not in name:
                parameter.normal_(0.0, 0.3)
    model.save_pretrained(folder / "model")


def trial(kind: str, seed: int, folder: Path, *, random_only: bool = False) -> list[dict[str, Any]]:
    """Return one row per ablation, and one for random weights."""
    world = make_world(kind, seed, prompts=64)
    write_world(world, folder)
    assert isinstance(world.truth, CircuitTruth)
    head = {"kind": kind, "seed": seed}
    rows = [
        head | {"weights": "hand-set", "ablation": name} | scored(circuit_of(folder, name), world.truth)
        for name in (() if random_only else ABLATIONS)
    ]
    scrambled(folder, seed)
    return [*rows, head | {"weights": "random", "ablation": "zero"} | scored(circuit_of(folder, "zero"), world.truth)]


def summary(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return means per program, weights and ablation."""
    kept: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        kept.setdefault((row["kind"], row["weights"], row["ablation"]), []).append(row)
    names = (
        "edge_auroc", "edge_auroc_within_readers", "edge_auroc_of_place", "node_auroc", "edge_auroc_attribution",
        "kept_exactly", "faithfulness", "completeness",
    )  # fmt: skip
    return [
        {"kind": kind, "weights": weights, "ablation": ablation, "n_worlds": len(found)}
        | {name: round(float(np.mean([row[name] for row in found if row.get(name) is not None])), 4) for name in names}
        | {"least_edge_auroc": round(min(row["edge_auroc"] for row in found), 4)}
        | {"random_largest": round(max(row["random_largest"] for row in found), 4)}
        for (kind, weights, ablation), found in kept.items()
    ]


def main() -> None:
    """Run the seeds and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=(1000, 1010))
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--random-only", action="store_true", help="random weights alone, for examining the control")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(*arguments.seeds):
        for kind in arguments.kinds:
            with tempfile.TemporaryDirectory() as folder:
                rows += trial(kind, seed, Path(folder) / "world", random_only=arguments.random_only)
        text = json.dumps({"published": PUBLISHED, "summary": summary(rows), "worlds": rows}, indent=1)
        arguments.out.write_text(text + "\n")


def _auroc(values: list[float], labels: list[bool]) -> float:
    return float(auroc(np.array(values)[:, None], np.array(labels))[0])


if __name__ == "__main__":
    main()
