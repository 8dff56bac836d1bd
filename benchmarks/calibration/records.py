"""What the peer needs of every model, written while the pipeline runs on it: pooled activations and edits.

The peer gets the pooled activations of all latents and one record per ablation, prompt and control of every latent that
our inspection found worth editing, in its own unit: probability of the target words.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.calibrating.investigate import (
    CRITERION,
    DATASET,
    MODEL,
    Answer,
    Lab,
    Question,
    Said,
    Stop,
    investigate,
)
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.passes import pool_prompts

_CONTROLS = {None, "random", "matched_frequency", "placebo"}


def recording(
    out: Path, done: Callable[[], int] | None = None, *, edited: bool = True
) -> Callable[[Question, Stop], Answer]:
    """Return the pipeline itself, with what the peer needs written beside it; or of it only the inspection.

    `done` says how many models are finished, if a run that was cut off may go on: what that had begun is written again.
    """

    def run(question: Question, stop: Stop) -> Answer:
        answer = investigate(question, stop) if edited else _inspected(question, stop)
        folder = out / f"{done() if done else len(list(out.iterdir())):04d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        n_latents = _write_activations(question, folder)
        if edited:
            _write_interventions(question, folder, stop)
        about = {"model": MODEL, "criterion": CRITERION, "n_latents": n_latents}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        return answer

    return run


def _inspected(question: Question, stop: Stop) -> Answer:
    ranking = Lab(question, stop).inspect()[0].ranking
    return Answer(tuple(Said(row.address, row.index, row.grade, row.reasons) for row in ranking), ())


def _write_activations(question: Question, folder: Path) -> int:
    asked = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "dictionaries": question.dictionaries}
    request = InspectRequest.model_validate(asked)
    inputs = open_inputs(request, Settings(workspace=question.folder))
    with tempfile.TemporaryDirectory() as scratch, LocalRun(Path(scratch)) as run:
        pooled = pool_prompts(inputs, run)
    names = [feature(str(site), index) for site, index in map(pooled.locate, range(pooled.values.shape[1]))]
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
        names = {f"{row.address} #{row.index}"[:60]: feature(row.address, row.index) for row in worth}
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


def feature(address: str, index: int) -> str:
    """Return the name that the peer's files give a latent."""
    layer = int(address.split("/", 1)[0].rsplit(".", 1)[1])
    return f"SAE:L{layer}:F{index}"


def said_by_peer(folder: Path, n_worlds: int, peer: Path) -> list[dict[str, Any]]:
    """Return what the peer says of every latent of every model, from the records written for it."""
    environment = os.environ | {"PYTHONPATH": str(peer.resolve())}
    script = Path(__file__).with_name("peer.py").resolve()
    subprocess.run([sys.executable, str(script), str(folder.resolve())], check=True, env=environment, cwd=folder)
    paths = [folder / f"{place:04d}" / "graded.json" for place in range(n_worlds)]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
