"""Let interp-lab 3.1.0 write one of each of its files, small ones, which the tests then read.

It cannot be imported beside this project, whose package has the same name: its commands run in processes of their own,
with the unpacked wheel first on their path. `make peer-files` unpacks the wheel and runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path("tests/truth/data/interp-lab-3.1.0.zip")
POCKET = Path("interp_lab/pocket/weights/pocket-gpt2").resolve()
WORDS = ["river", "stone", "cloud", "paper", "glass", "copper", "garden", "winter", "signal", "market", "engine"]
CRITERION = "a planted thing"
HF = ["--model", str(POCKET), "--dataset", "prompts.jsonl", "--criterion", CRITERION, "--target-token", " km"]
SHORT = {
    "HF": HF,
    "RECORDS": ["inspect", "--criterion", CRITERION, "--backend", "records"],
    "CRITERION": [CRITERION],
    "MODEL": [str(POCKET)],
}
"""Words of the commands that stand for others."""

STEPS = """
RECORDS --model m --records records.jsonl --interventions edits.jsonl --out causal
RECORDS --model m --records records.jsonl --out a
RECORDS --model n --records records_b.jsonl --out b
inspect --criterion CRITERION --backend jsonl --features features.jsonl --model m --out f
match --left a/report.json --right b/report.json --out matches.json
validate-matches --matches matches.json --out match_validation.json
check-explanation-consistency --report a/report.json --report b/report.json --out consistency.json
search-features --report a/report.json --query river --out feature_search.json
compare-model-families --member x=a/report.json --member y=b/report.json --out families.json
match-text-pivot --left a/report.json --right b/report.json --out text_pivot.json
compare-runs --left a/report.json --right b/report.json --out run_diff.json
quant-diff --left-report a/report.json --right-report a/report.json --out quant_diff.json
plan-evidence --report a/report.json --out evidence_plan.json
dossier-update --dossier dossier.json --report a/report.json
calibrate --out calibration.json --seeds 1 --features 4 --causal 1 --decoys 1
export-steering --report a/report.json --feature L2:D3 --out steering.json --allow-unvalidated
migrate-report --report a/report.json --out migrated
build-prompts --positive-prompt 'ten km' --negative-prompt 'ten men' --out built_prompts.jsonl
prepare-sae-prompts --dataset prompts.jsonl --out-dir pack
score-prompts --dataset prompts.jsonl --criterion CRITERION --scorer hash --out scored.jsonl
compile-criterion --criterion 'a planted thing here' --scorer hash --out compiled
compile-criterion --criterion 'a planted thing here' --generator agent --out asked
criterion-lab --preset overconfidence --model m --out criterion_lab.json
validate-assay --preset overconfidence --out assay.json
init-run --workflow records --model m --criterion CRITERION --records records.jsonl --out run.json --run-dir run
run run.json
convert-hidden-dump --dump hidden.jsonl --out converted.jsonl
plan-scale --model-params 7b --tokens 1m --d-model 4096 --json --out scale_plan.json
profile-env --json --out env.json
train-sae --records records.jsonl --latent-dim 3 --method fallback --out sae.json --records-out sae_records.jsonl
train-sae --hf-model MODEL --dataset prompts.jsonl --layer 1 --latent-dim 4 --epochs 2 --out sae1.json
train-sae --hf-model MODEL --dataset prompts.jsonl --layer 2 --latent-dim 4 --epochs 2 --out sae2.json
export-hf-records --model MODEL --dataset prompts.jsonl --layers 1 --features-per-layer 2 --out hf_records.jsonl
intervene HF --feature L1:D3 --mode amplify --strength-sweep 1,2 --out interventions.jsonl --plan-out
  intervention_plan.json
export-hf-contrast HF --layer 1 --records-out contrast.jsonl --interventions-out contrast_edits.jsonl
export-hf-sae-paths HF --source-sae sae1.json --target-sae sae2.json --source-top-k 1 --target-top-k 1
  --strength-sweep 2 --random-source-controls 1 --out paths.jsonl
export-attribution-graph --report a/report.json --path-records paths.jsonl --out graph.json
summarize-attribution-graph --graph graph.json --out graph_summary.json
validate-attribution-graph --graph graph.json --path-records paths.jsonl --out graph_validation.json
inspect --criterion CRITERION --backend records --model MODEL --records hf_records.jsonl --out hf
export-steering --report hf/report.json --feature L1:D116 --out hf_steering.json --allow-unvalidated
apply-steering --artifact hf_steering.json --prompts prompts.jsonl --strength 1 --max-new-tokens 2 --out
  steered.jsonl
capabilities --out capabilities.json
"""
"""Every command that writes a file, each after those whose files it reads; an indented line goes on the one before."""
READERS = """
match --left REPORT --right REPORT --out matches.json
search-features --report REPORT --query name --out search.json
compare-runs --left REPORT --right REPORT --out runs.json
plan-evidence --report REPORT --out plan.json
quant-diff --left-report REPORT --right-report REPORT --out quant.json
export-attribution-graph --report REPORT --out graph.json
export-steering --report REPORT --allow-unvalidated --feature FEATURE --out steering.json
dossier-update --report REPORT --dossier dossier.json
migrate-report --report REPORT --out migrated
"""
"""Its commands that read a report; the last word is what each writes."""
TWICE = (
    "records_b.jsonl",
    "b/*",
    "hf/*",
    "migrated/*",
    "run/inspect/*",
    "run/graph.json",
    "sae2.json",
    "steering.json",
)
"""Files of a kind that another file has already."""


def main() -> None:
    """Write the files of the peer whose wheel is unpacked at the path given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="folder into which the wheel was unpacked")
    parser.add_argument("--read", type=Path, help="a report.json that export_report wrote: only let the peer read it")
    given = parser.parse_args()
    peer = given.peer.resolve()
    if given.read is not None:
        _read(peer, given.read.resolve())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_inputs(folder)
        for step in STEPS.replace("\n  ", " ").strip().splitlines():
            _call(peer, folder, [word for each in shlex.split(step) for word in SHORT.get(each, [each])])
        (folder / "doctor.json").write_text(_call(peer, folder, ["doctor", "--json"]), encoding="utf-8")
        n, size = _keep(folder)
    sys.stdout.write(f"{n} files, {size:,} bytes in {OUT}\n")


def _read(peer: Path, report: Path) -> None:
    """Let every command of the peer that reads one report read ours, and fail if one does not."""
    feature = json.loads(report.read_text(encoding="utf-8"))["cards"][0]["feature_id"]
    with tempfile.TemporaryDirectory() as name:
        for step in READERS.strip().splitlines():
            words = {"REPORT": str(report), "FEATURE": feature}
            _call(peer, Path(name), [words.get(word, word) for word in shlex.split(step)])
            if not (Path(name) / step.split()[-1]).exists():
                sys.exit(f"interp-lab 3.1.0 {step.split()[0]} does not read {report}")
            sys.stdout.write(f"{step.split()[0]} reads it\n")


def _call(peer: Path, folder: Path, step: Sequence[str]) -> str:
    command = [sys.executable, "-m", "interp_lab", *step]
    environment = os.environ | {"PYTHONPATH": str(peer), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [str(done.returncode)]
        sys.stderr.write(f"{step[0]}: {said[-1]}\n")
    return done.stdout


def _keep(folder: Path) -> tuple[int, int]:
    """Pack what was written, without paths of this machine and without files of a kind that another has already."""
    n = size = 0
    with zipfile.ZipFile(OUT, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(folder.rglob("*.json*")):
            if any(path.relative_to(folder).match(name) for name in TWICE):
                continue
            text = path.read_text(encoding="utf-8").replace(str(folder), "/peer").replace(str(POCKET), "pocket-gpt2")
            packed.writestr(zipfile.ZipInfo("-".join(path.relative_to(folder).parts)), text, zipfile.ZIP_DEFLATED)
            n, size = n + 1, size + len(text)
    return n, size


def _write_inputs(folder: Path) -> None:
    for name, model, seed in (("records.jsonl", "m", 1), ("records_b.jsonl", "n", 2)):
        _lines(folder / name, [_record(model, i, np.random.default_rng([seed, i])) for i in range(8)])
    _lines(folder / "edits.jsonl", [_edit(i, control) for i in range(1, 8, 2) for control in (None, "random")])
    texts = [
        ("The road is ten kilometres" if i % 2 else "The road is quiet") + f" near {WORDS[i % 11]} {i}"
        for i in range(12)
    ]
    _lines(
        folder / "prompts.jsonl",
        [{"prompt_id": f"p{i}", "text": text, "criterion_score": float(i % 2)} for i, text in enumerate(texts)],
    )
    rng = np.random.default_rng(3)
    hidden = [
        {
            "prompt_index": p,
            "layer": layer,
            "hidden": rng.normal(size=(2, 3)).round(3).tolist(),
            "text": texts[p],
            "criterion_score": p % 2,
            "model": "m",
        }
        for p in range(4)
        for layer in range(2)
    ]
    _lines(folder / "hidden.jsonl", hidden)
    _lines(folder / "features.jsonl", [_feature(k) for k in range(3)])


def _record(model: str, i: int, rng: np.random.Generator) -> dict[str, Any]:
    values = np.abs(rng.normal(size=4)) + np.array([0, 0, 0, 1.5 * (i % 2)])
    features = [
        {
            "feature_id": f"L2:D{d}",
            "activation": round(float(v), 4),
            "label": f"dim {d}",
            "layer": 2,
            "decoder_signature": [0.1 * d, 1.0],
        }
        for d, v in enumerate(values)
    ]
    text = " ".join(rng.choice(WORDS, 5)) + f" {i}"
    return {"model": model, "prompt_id": f"p{i}", "text": text, "criterion_score": float(i % 2), "features": features}


def _edit(i: int, control: str | None) -> dict[str, Any]:
    metadata = {"behavior_score": "target_token_probability_mass"} | (
        {} if control is None else {"control_type": control}
    )
    score = 0.4 - (0.2 + 0.01 * i if control is None else 0.001 * i)
    return {
        "schema_version": "interp-lab.intervention_record.v1", "model": "m", "feature_id": "L2:D3",
        "intervention": "ablate", "criterion": CRITERION, "prompt_id": f"p{i}", "baseline_score": 0.4,
        "intervention_score": score,
        "side_effect_score": 0.02, "metadata": metadata,
    }  # fmt: skip


def _feature(k: int) -> dict[str, Any]:
    return {
        "feature_id": f"L2:D{k}", "model": "m", "layer": 2, "label": f"dim {k}", "examples": ["one", "two"],
        "activation_signature": [0.1, 0.2, 0.3], "decoder_signature": [0.5, 0.1], "source": "hand", "metadata": {},
        "causal_effects": {"criterion": 0.4, "specificity": 0.2, "side_effect": 0.1},
    }  # fmt: skip


def _lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
