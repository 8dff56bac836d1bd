"""The whole calibration on seeds for reported figures, and the same models through the peer's path of records.

The peer gets, of every model, the pooled activations of all latents and one record per ablation, prompt and control of
every latent that our inspection found worth editing, in its own unit: probability of the target words. Both are scored
with the same key. The results file has every share with its interval.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.calibrate import CalibrateRequest, Share
from interp_lab.contracts.calibration_report import LatentScore, WorldScore
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.workflows.calibrate import calibrate
from interp_lab.workflows.calibrating.investigate import (
    CRITERION,
    DATASET,
    MODEL,
    Answer,
    Lab,
    Question,
    Stop,
    investigate,
)
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.passes import pool_prompts

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration.json"
_CONTROLS = {None, "random", "matched_frequency", "placebo"}


def recording(out: Path) -> Callable[[Question, Stop], Answer]:
    """Return the pipeline itself, with what the peer needs written beside it."""

    def run(question: Question, stop: Stop) -> Answer:
        answer = investigate(question, stop)
        folder = out / f"{len(list(out.iterdir())):04d}"
        folder.mkdir()
        n_latents = _write_activations(question, folder)
        _write_interventions(question, folder, stop)
        about = {"model": MODEL, "criterion": CRITERION, "n_latents": n_latents}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        return answer

    return run


def _write_activations(question: Question, folder: Path) -> int:
    asked = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "dictionaries": question.dictionaries}
    request = InspectRequest.model_validate(asked)
    inputs = open_inputs(request, Settings(workspace=question.folder))
    with tempfile.TemporaryDirectory() as scratch, LocalRun(Path(scratch)) as run:
        pooled = pool_prompts(inputs, run)
    names = [_feature(str(site), index) for site, index in map(pooled.locate, range(pooled.values.shape[1]))]
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for row, prompt in zip(pooled.values.tolist(), inputs.prompts.prompts, strict=True):
            features = dict(zip(names, row, strict=True))
            line = {"model": MODEL, "prompt_id": prompt.id, "text": prompt.text, "criterion_score": prompt.score}
            file.write(json.dumps({**line, "features": features}) + "\n")
    return len(names)


def _write_interventions(question: Question, folder: Path, stop: Stop) -> None:
    lab = Lab(question, stop)
    lab.n_calls = 1000  # folders of its own
    ranked, report = lab.inspect()
    worth = [row for row in ranked.ranking if row.grade != "weak"]
    lines: list[str] = []
    if worth:
        lab.intervene(report, [row.rank for row in worth], edits=("ablate_zero",), metric="log_probability")
        store = ArtifactStore(WorkspacePaths.of(lab.settings))
        newest = max(
            (m for m in map(store.manifest, store.ids()) if m.file("interventions.jsonl")), key=lambda m: m.ended
        )
        names = {f"{row.address} #{row.index}"[:60]: _feature(row.address, row.index) for row in worth}
        text = store.path_of(newest.id, "interventions.jsonl").read_text(encoding="utf-8")
        lines = list(_in_probability(text, names))
    (folder / "interventions.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _in_probability(text: str, names: dict[str, str]) -> Iterator[str]:
    for line in map(json.loads, text.splitlines()):
        if line["metadata"].get("control_type") not in _CONTROLS:
            continue
        scores = {name: math.exp(line[name]) for name in ("baseline_score", "intervention_score")}
        metadata = line["metadata"] | {"behavior_score": "target_token_probability_mass"}
        side = {} if line["side_effect_score"] is None else {"side_effect_score": line["side_effect_score"]}
        plain = {k: v for k, v in line.items() if k not in {"side_effect_score", "metadata"}}
        yield json.dumps(
            plain | scores | side | {"feature_id": names[line["feature_id"]], "metadata": metadata}, allow_nan=False
        )


def _feature(address: str, index: int) -> str:
    layer = int(address.split("/", 1)[0].rsplit(".", 1)[1])
    return f"SAE:L{layer}:F{index}"


def peer_scores(folder: Path, worlds: list[WorldScore], peer: Path) -> dict[str, Any]:
    """Return the peer's shares on the same models, scored with the same key."""
    environment = os.environ | {"PYTHONPATH": str(peer)}
    script = Path(__file__).with_name("peer.py")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, env=environment, cwd=folder)
    rows: list[tuple[WorldScore, LatentScore, dict[str, Any]]] = []
    for place, world in enumerate(worlds):
        said = json.loads((folder / f"{place:04d}" / "graded.json").read_text(encoding="utf-8"))
        rows += [(world, each, said.get(_feature(each.address, each.index), {})) for each in world.latents]
    planted = [row for row in rows if row[1].kind != "bystander"]
    found: dict[str, Any] = {}
    for key in ("tier", "claim"):
        kinds = sorted({str(said.get(key)) for _, _, said in rows})
        found[key] = {kind: _share([(r[1].causal, r[0]) for r in rows if str(r[2].get(key)) == kind]) for kind in kinds}
    called = "measured_causal"
    for name, chosen in (("all", planted), ("meant_to_hold", [r for r in planted if r[0].meant_to_hold])):
        found[name] = {
            "precision": _share([(r[1].causal, r[0]) for r in chosen if r[2].get("tier") == called]),
            "recall": _share([(r[2].get("tier") == called, r[0]) for r in chosen if r[1].causal]),
            "decoys": _share([(r[2].get("tier") == called, r[0]) for r in chosen if not r[1].causal]),
            "suppressor_sign": _share(
                [
                    ((r[2].get("effect") or 0.0) < 0, r[0])
                    for r in chosen
                    if r[1].kind == "suppressor" and r[2].get("tier") == called
                ]
            ),
        }
    return found


def _share(rows: list[tuple[bool, WorldScore]]) -> dict[str, Any] | None:
    if not rows:
        return None
    found = clustered_share([yes for yes, _ in rows], [world.seed for _, world in rows])
    share = Share(share=found.share, low=found.low, high=found.high, n=found.n_rows, n_worlds=found.n_groups)
    return {name: round(value, 4) for name, value in share.model_dump().items()}


def main() -> None:
    """Run the sweep once and write its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=8, help="models per setting")
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--size", default="whole", choices=("small", "whole"))
    parser.add_argument("--out", type=Path, required=True, help="folder for reports and records; a second run goes on")
    parser.add_argument("--peer", type=Path, help="folder with the peer's package; without it, only this project")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    records = options.out / "records"
    records.mkdir(parents=True, exist_ok=True)
    request = CalibrateRequest(size=options.size, worlds=options.worlds, first_seed=options.first_seed)
    pipeline = recording(records) if options.peer else investigate
    with LocalRun(options.out) as run:
        result = calibrate(request, run, suggest=lambda _: (), pipeline=pipeline)
    report = json.loads((run.written[-1] / "report.json").read_text(encoding="utf-8"))
    lines = (run.written[-1] / "worlds.jsonl").read_text(encoding="utf-8").splitlines()
    worlds = [WorldScore.model_validate_json(line) for line in lines]
    kept = {k: v for k, v in report.items() if k not in {"agent_next_actions", "run", "schema_version"}}
    kept["peer"] = peer_scores(records, worlds, options.peer) if options.peer else None
    kept["packages"] = report["run"]["packages"]
    options.results.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(result.summary + "\n")


if __name__ == "__main__":
    main()
