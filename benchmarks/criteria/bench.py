"""The twelve bundled criteria in both models in the box: best latent, dimension, direction and probe, and the nothings.

Dictionaries are trained first by `make pocket-dictionaries`' own command where `--workspace` does not hold them yet,
and a run that was cut off goes on behind the last dataset that it finished: after a change of code, give it a new one.
Everything is chosen on explore groups and scored on confirm groups. Beside it: what audit_prompts says of every
dataset, the share of columns called at q < 0.05 and p < 0.05 when labels are shuffled within families, and the same for
a network of the same architecture with random weights. `--print` shows the tables of docs/criteria.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from page import written
from subject import SEED, Subject

from interp_lab.contracts.prompt_audit import AuditPromptsRequest
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.catalogue import list_presets
from interp_lab.models.resolve import locate_model
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import RECIPES
from interp_lab.settings import Settings
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.workflows.audit_prompts import audit_prompts

HERE = Path(__file__).resolve()
RESULTS = HERE.parents[1] / "results" / "criteria.json"
PAGE = HERE.parents[2] / "docs" / "criteria.md"
MODELS = ("pocket-gpt2", "pocket-llama")
SHUFFLES = 40
DIRECTION_SHUFFLES = 2
"""Shuffles in which directions are learned again."""
_SEARCHES = (
    ("trained", "latents"),
    ("trained", "dimensions"),
    ("trained", "directions"),
    ("random_weights", "dimensions"),
    ("random_weights", "directions"),
)


def main(arguments: Sequence[str]) -> int:
    """Train what is missing, measure, write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path(".criteria"), help="keeps dictionaries for a second run")
    parser.add_argument("--shuffles", type=int, default=SHUFFLES)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--print", action="store_true", help="write the page from the results that are there")
    chosen = parser.parse_args(arguments)
    if not chosen.print:
        torch.set_num_threads(1)
        found = _measured(chosen.workspace.resolve(), chosen.shuffles)
        chosen.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(written(json.loads(chosen.results.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def _measured(workspace: Path, shuffles: int) -> dict[str, Any]:
    trained = {model: _dictionaries(model, workspace) for model in MODELS}
    for model in MODELS:
        _write_twin(model, workspace / f"random-{model}")
    rows: list[dict[str, Any]] = []
    for place, preset in enumerate(list_presets()):
        kept = workspace / f"row-{shuffles}-{preset.dataset}.json"
        if kept.is_file():
            rows.append(json.loads(kept.read_text(encoding="utf-8")))
            continue
        before = time.process_time()
        audit = audit_prompts(
            AuditPromptsRequest(dataset=BuiltinDataset(name=preset.dataset)), Settings(workspace=workspace)
        )[1]
        row: dict[str, Any] = {
            "dataset": preset.dataset,
            "wrong_on_purpose": bool(preset.confounds),
            "pooling": preset.pooling,
            "usability": audit.usability,
            "solved_by": [each.name for each in audit.surface if each.verdict == "solves"],
        }
        for number, model in enumerate(MODELS):
            rng = np.random.default_rng([SEED, place, number])
            ids = [each["artifact"] for each in trained[model]["rows"]]
            subject = Subject.read(preset, f"builtin:{model}", workspace / model, ids)
            twin = Subject.read(preset, f"random-{model}", workspace)
            row[model] = _cell(subject, rng, shuffles)
            row[model]["random_weights"] = _cell(twin, rng, shuffles)
            row[model]["directions_beyond_random"] = subject.taught.beyond(twin.taught)
        row["cpu_seconds"] = round(time.process_time() - before, 1)
        kept.write_text(json.dumps(row), encoding="utf-8")
        rows.append(row)
        print(preset.dataset, row["usability"], {m: row[m]["best"]["latent"] for m in MODELS}, flush=True)
    return {
        "bench": "criteria",
        "seed": SEED,
        "shuffles": shuffles,
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 1),
        "dictionaries": {model: _facts(found) for model, found in trained.items()},
        "rows": rows,
        "chance": _chance(rows),
        "machine": f"{os.cpu_count()} CPU cores, 1 thread, torch {torch.__version__}",
    }


def _cell(subject: Subject, rng: np.random.Generator, shuffles: int) -> dict[str, Any]:
    return {
        "best": subject.best(),
        "found": subject.discoveries() | {"directions": subject.taught.found},
        "shuffled": [subject.shuffled(rng, with_directions=draw < DIRECTION_SHUFFLES) for draw in range(shuffles)],
    }


def _chance(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return, over every shuffle, the shares that a label without meaning should give, with intervals over datasets."""
    found: dict[str, Any] = {}
    for name, part in _SEARCHES:
        drawn: list[tuple[str, Mapping[str, Any]]] = []
        for row in rows:
            cells = [row[model] if name == "trained" else row[model]["random_weights"] for model in MODELS]
            drawn += [(row["dataset"], each[part]) for cell in cells for each in cell["shuffled"] if part in each]
        datasets = [dataset for dataset, _ in drawn]
        found[f"{name} {part}"] = {
            "n_shuffles": len(drawn),
            "n_tested": sum(each["n_tested"] for _, each in drawn),
            "any_q05": _share([each["n_q05"] > 0 for _, each in drawn], datasets),
            "share_p05": _mean([each["n_p05"] / each["n_tested"] for _, each in drawn], datasets),
            "share_q05": sum(each["n_q05"] for _, each in drawn) / sum(each["n_tested"] for _, each in drawn),
            "best_confirmed": _share([each["best_confirmed"] for _, each in drawn], datasets),
        }
    for row in rows:  # what was drawn is summed up; one line a shuffle would drown the file
        for cell in (part for model in MODELS for part in (row[model], row[model]["random_weights"])):
            del cell["shuffled"]
    return found


def _share(yes: Sequence[bool], groups: Sequence[str]) -> dict[str, float]:
    found = clustered_share(yes, groups)
    return {"share": round(found.share, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def _mean(values: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    found = clustered_mean(np.asarray(values), groups)
    return {"share": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def _dictionaries(model: str, workspace: Path) -> dict[str, Any]:
    """Return the results of the pocket-dictionaries command for a model, run now unless they are there."""
    kept = workspace / f"{model}.json"
    if not kept.is_file():
        command = HERE.parents[1] / "pocket_dictionaries" / "bench.py"
        where = ["--workspace", str(workspace / model), "--write", str(kept)]
        subprocess.run([sys.executable, str(command), "--model", f"builtin:{model}", *where], check=True)
    return json.loads(kept.read_text(encoding="utf-8"))


def _facts(trained: Mapping[str, Any]) -> dict[str, Any]:
    rows = trained["rows"]
    return {
        "n_train_tokens": trained["n_train_tokens"],
        "n_latents": [row["n_latents"] for row in rows],
        "fvu": [round(row["dictionary"]["fvu"]["value"], 3) for row in rows],
    }


def _write_twin(model: str, folder: Path) -> None:
    """Write a network of the same architecture with random weights and the same tokenizer."""
    source = locate_model(f"builtin:{model}")
    if source is None:
        raise SystemExit(f"{model} is not here")
    twin: Any = build(RECIPES[model])  # transformers types this in part
    twin.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source.directory / name, folder / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
