"""Planted paths: of the edges built into worlds, how many are found, how many hold, and how many that hold are false.

Every planted direction before the last layer is a source, every later one and the behaviour are targets. At a fixed
budget (as many paths as there are true edges) precision equals recall. Results join a JSON file, world by world.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interp_lab.contracts.path_report import PathReport
from interp_lab.contracts.trace_paths import PathsResult, TracePathsRequest
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.trace_paths import trace_paths
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.validate_paths import validate_paths
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world

DECOYS = ("inert", "confounded", "redundant", "suppressor", "echo", "impostor")
BASES = ("tiny-gpt2", "tiny-llama")
RESULTS = Path(__file__).parents[1] / "results" / "planted_paths.json"
Pair = tuple[str, str]


class Trial:
    """One world with its truth."""

    def __init__(self, seed: int, folder: Path, n_prompts: int) -> None:
        self.seed, self.folder = seed, folder
        world = make_world("planted", seed, base=BASES[seed % 2], decoys=DECOYS, prompts=n_prompts, confounding=0.5)
        write_world(world, folder)
        assert isinstance(world.truth, PlantedTruth)
        self.truth = world.truth
        self.layer = {f.name: int(f.address.partition(".")[2]) for f in self.truth.features}
        self.units = {
            f.name: {"address": f.address, "direction": f.direction, "name": f.name} for f in self.truth.features
        }

    def true_edges(self, layer: int) -> set[Pair]:
        """Planted edges from sources of a layer that one ablation shows: of a redundant pair, no member's."""
        hidden = {member for group in self.truth.redundant for member in group.members}
        return {
            (e.source, e.target)
            for e in self.truth.edges
            if e.planted and self.layer[e.source] == layer and e.source not in hidden
        }

    def common(self) -> dict[str, Any]:
        """What every request says."""
        return {
            "model": "model",
            "criterion": "the planted trigger",
            "dataset": {"path": "prompts.jsonl"},
            "target_tokens": self.truth.targets,
            "alternative_tokens": self.truth.alternatives,
            "dry_run": False,
        }

    def trace(self, sources: list[str], targets: list[str], **options: Any) -> tuple[PathsResult, PathReport]:
        """Trace from sources to targets."""
        request = TracePathsRequest(
            **self.common(),
            sources=[self.units[name] for name in sources],
            targets=[self.units[name] for name in targets],
            top_k=50,
            **options,
        )
        with tempfile.TemporaryDirectory() as out, LocalRun(Path(out), workspace=self.folder) as run:
            result = trace_paths(request, run, settings=Settings(workspace=self.folder), suggest=Suggest())
            text = (run.written[0] / "report.json").read_text(encoding="utf-8")
        return result, PathReport.model_validate_json(text)

    def validate(self, pairs: list[Pair]) -> set[Pair]:
        """Return the pairs that hold on held-out prompts."""
        request = ValidatePathsRequest(
            **self.common(), pairs=["=".join(pair) for pair in pairs], units=list(self.units.values())
        )
        with tempfile.TemporaryDirectory() as out, LocalRun(Path(out), workspace=self.folder) as run:
            validate_paths(request, run, settings=Settings(workspace=self.folder), suggest=Suggest())
            text = (run.written[0] / "report.json").read_text(encoding="utf-8")
        cards = PathReport.model_validate_json(text).paths
        return {(card.source.key, card.target.key) for card in cards if card.grade == "validated"}


def measure(trial: Trial) -> Iterator[dict[str, Any]]:
    """Yield one record per layer of sources, and one for the echo."""
    for layer in sorted(set(trial.layer.values()))[:-1]:
        sources = [name for name, own in trial.layer.items() if own == layer]
        targets = [name for name, own in trial.layer.items() if own > layer]
        true = trial.true_edges(layer)
        _, report = trial.trace(sources, targets)
        listed = [card for card in report.paths if card.target.unit is not None]
        best = {(card.source.key, card.target.key) for card in listed[: len(true)]}
        every = [(s, t) for s in sources for t in targets]
        held = trial.validate(every[:64])
        figures = {(c.source.key, c.target.key): c.explore for c in listed}
        controls = [
            max((k.size for k in one.controls), default=0.0) / abs(one.mediated)
            for pair in true
            if (one := figures.get(pair)) is not None and one.mediated
        ]
        yield {
            "seed": trial.seed, "layer": layer, "pairs": len(every), "true": len(true), "budget_hits": len(best & true),
            "validated": len(held), "validated_true": len(held & true),
            "largest_control_share": max(controls, default=0.0),
        }  # fmt: skip
    result, _ = trial.trace(
        ["trigger"], ["echo", "suppressor_relay"], hold_units=[trial.units["cause"]], behaviour=False
    )
    by_target = {path.target: path for path in result.paths}
    yield {
        "seed": trial.seed,
        "echo_direct_over_total": _ratio(by_target["echo"]),
        "other_direct_over_total": _ratio(by_target["suppressor_relay"]),
    }


def _ratio(path: Any) -> float:
    return float(path.direct / path.mediated) if path.mediated else 0.0


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return precision, recall and the echo over all worlds."""
    rows = [record for record in records if "layer" in record]
    echoes = [record for record in records if "layer" not in record]

    def total(name: str) -> int:
        return sum(row[name] for row in rows)

    return {
        "worlds": len(echoes),
        "pairs": total("pairs"),
        "true_edges": total("true"),
        "precision_and_recall_at_budget": total("budget_hits") / max(1, total("true")),
        "validated_precision": total("validated_true") / max(1, total("validated")),
        "validated_recall": total("validated_true") / max(1, total("true")),
        "largest_control_share": max(row["largest_control_share"] for row in rows),
        "echo_largest_direct_over_total": max(abs(e["echo_direct_over_total"]) for e in echoes),
        "other_smallest_direct_over_total": min(e["other_direct_over_total"] for e in echoes),
    }


def main() -> None:
    """Measure worlds from a seed on and print the summary of all measured so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    records: list[dict[str, Any]] = []
    if given.results.exists():
        records = json.loads(given.results.read_text(encoding="utf-8"))["records"]
    known = {record["seed"] for record in records}
    for seed in range(given.first_seed, given.first_seed + given.worlds):
        if seed not in known:
            with tempfile.TemporaryDirectory() as folder:
                records += measure(Trial(seed, Path(folder) / "world", given.prompts))
            found = {"summary": summary(records), "records": records}
            given.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary(records)))


if __name__ == "__main__":
    main()
