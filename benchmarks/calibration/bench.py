"""The whole calibration on seeds for reported figures, and the same models through the peer's path of records.

The peer gets, of every model, the pooled activations of all latents and one record per ablation, prompt and control of
every latent that our inspection found worth editing, in its own unit: probability of the target words. Both are scored
with the same key. The results file has every share with its interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from records import feature, recording, said_by_peer

from interp_lab.contracts.calibrate import CalibrateRequest, Share
from interp_lab.contracts.calibration_report import LatentScore, WorldScore
from interp_lab.jobs.run import LocalRun
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.workflows.calibrate import calibrate
from interp_lab.workflows.calibrating.investigate import investigate
from interp_lab.workflows.calibrating.report import assemble
from interp_lab.workflows.calibrating.sweep import draws

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration.json"


def peer_scores(folder: Path, worlds: list[WorldScore], peer: Path) -> dict[str, Any]:
    """Return the peer's shares on the same models, scored with the same key."""
    rows: list[tuple[WorldScore, LatentScore, dict[str, Any]]] = []
    for world, said in zip(worlds, said_by_peer(folder, len(worlds), peer), strict=True):
        rows += [(world, each, said.get(feature(each.address, each.index), {})) for each in world.latents]
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


def part(text: str) -> CalibrateRequest:
    """Return the request of a part of the run, written as size:worlds:first_seed."""
    size, worlds, first_seed = text.split(":")
    return CalibrateRequest.model_validate({"size": size, "worlds": int(worlds), "first_seed": int(first_seed)})


def scored(request: CalibrateRequest, options: argparse.Namespace) -> list[WorldScore]:
    """Run one part; what an interrupted run has finished is taken from there."""
    records = options.out / "records"
    records.mkdir(parents=True, exist_ok=True)
    with LocalRun(options.out) as run:
        finished = run.checkpoint_dir
        pipeline = recording(records, lambda: len(list(finished.glob("*.json")))) if options.peer else investigate
        calibrate(request, run, suggest=lambda _: (), pipeline=pipeline)
    lines = (run.written[-1] / "worlds.jsonl").read_text(encoding="utf-8").splitlines()
    return [WorldScore.model_validate_json(line) for line in lines]


def main() -> None:
    """Run the parts one after the other, pool them and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", type=part, action="append", required=True, help="size:models per setting:first seed; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for reports and records; a second run goes on")
    parser.add_argument("--peer", type=Path, help="folder with the peer's package; without it, only this project")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--finished", action="store_true", help="run nothing: pool what an interrupted run has finished"
    )
    options = parser.parse_args()
    parts = [list(draws(request)) for request in options.part]
    if options.finished:
        worlds = finished_worlds(options.out, {draw.seed for drawn in parts for draw in drawn})
    else:
        torch.set_num_threads(1)
        worlds = [world for request in options.part for world in scored(request, options)]
    with LocalRun(options.out) as run:
        report = assemble(options.part[0], worlds, run=run)
    kept = report.model_dump(mode="json", exclude={"agent_next_actions", "run", "schema_version"})
    kept["parts"] = [
        {"size": request.size, "worlds": len(drawn), "seeds": [drawn[0].seed, drawn[-1].seed]}
        for request, drawn in zip(options.part, parts, strict=True)
    ]
    kept["peer"] = peer_scores(options.out / "records", worlds, options.peer) if options.peer else None
    kept["packages"] = report.run.packages
    options.results.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{report.headline}\n")


def finished_worlds(out: Path, seeds: set[int]) -> list[WorldScore]:
    """Return the models that are finished, in the order of their seeds: a run that was cut has the first ones."""
    with LocalRun(out) as run:
        texts = [path.read_text(encoding="utf-8") for path in run.checkpoint_dir.glob("*.json")]
    worlds = sorted((WorldScore.model_validate_json(text) for text in texts), key=lambda world: world.seed)
    return [world for world in worlds if world.seed in seeds]


if __name__ == "__main__":
    main()
