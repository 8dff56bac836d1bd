"""Train a dictionary for every layer of a model in the box by one command, measure each, and print one JSON object.

Both commands are those of a user: `interp-lab train_sae` once, streaming text of the kind that the model was trained
on, and `interp-lab evaluate_sae` for each dictionary on the prompts that were held out, with its reconstruction in the
model. `--print` shows the table of docs/dictionaries.md from the results that were written; `--workspace` keeps the
dictionaries for other measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

LAYERS, K = {"builtin:pocket-gpt2": 4, "builtin:pocket-llama": 6}, 16
TOKENS, DOCUMENTS, MEASURED = 400_000, 4_000, 8_192
TRAINING = {"learning_rate": 1e-3, "warmup_steps": 100, "decay_steps": 600, "dead_window_tokens": 500_000}
CORPUS = Path(__file__).resolve().parents[2] / "scripts" / "pocket_corpus.py"


def main(arguments: Sequence[str]) -> int:
    """Train, measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=LAYERS, default="builtin:pocket-gpt2")
    parser.add_argument("--workspace", type=Path, default=None, help="folder that keeps the dictionaries")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--write", type=Path, default=None)
    parser.add_argument("--print", type=Path, default=None, help="results whose table is shown")
    chosen = parser.parse_args(arguments)
    if chosen.print is not None:
        print(table(json.loads(chosen.print.read_text(encoding="utf-8"))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        workspace = chosen.workspace or Path(folder)
        workspace.mkdir(parents=True, exist_ok=True)
        found = _measure(workspace.resolve(), chosen)
    if chosen.write is not None:
        chosen.write.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0


def _measure(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    text = ["pocket.jsonl", "--documents", str(chosen.documents)]
    subprocess.run([sys.executable, str(CORPUS), *text], cwd=folder, check=True)
    source = {"kind": "stream", "model": chosen.model, "dataset": "pocket.jsonl"}
    places = [f"resid_post.{n}" for n in range(LAYERS[chosen.model])]
    command = [
        "train_sae", "--source", json.dumps(source), "--addresses", *places,
        "--architecture", "batchtopk", "--widths", "1280", "--sparsities", str(K),
        "--training", json.dumps({"total_tokens": chosen.tokens, **TRAINING}),
    ]  # fmt: skip
    began = time.perf_counter()
    trained = _lab(folder, command)
    seconds = time.perf_counter() - began
    return {
        "bench": "pocket_dictionaries",
        "command": command,
        "train_seconds": round(seconds, 1),
        "n_train_tokens": trained["result"]["n_train_tokens"],
        "rows": [
            _row(each, _evaluated(folder, each["artifact"], source)) for each in trained["result"]["dictionaries"]
        ],
        "machine": f"{os.cpu_count()} CPU cores, 1 thread, torch {torch.__version__}",
    }


def _evaluated(folder: Path, dictionary: str, source: Mapping[str, str]) -> dict[str, Any]:
    answer = _lab(folder, ["evaluate_sae", "--dictionary", dictionary, "--source", json.dumps(source),
                           "--max-tokens", str(MEASURED)])  # fmt: skip
    report = next(each for each in answer["artifacts"] if each["kind"] == "evaluation_report")
    return json.loads((folder / report["path"] / "report.json").read_text(encoding="utf-8"))


def _lab(folder: Path, command: Sequence[str]) -> dict[str, Any]:
    """Return the answer of the command line."""
    whole = [sys.executable, "-m", "interp_lab_server", *command, "--workspace", str(folder), "--json"]
    done = subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stdout}")
    return json.loads(done.stdout)


def _row(trained: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table shows of one dictionary, each figure with its interval and beside its random twin."""
    row: dict[str, Any] = {name: trained[name] for name in ("artifact", "place", "n_latents", "sparsity", "tokens")}
    for subject in ("dictionary", "random"):
        reconstruction = _of(report["reconstruction"], subject)
        sparsity = _of(report["sparsity"], subject)
        recovered = [r for r in report["spliced"]["recovered"] if r["subject"] == subject and r["ablation"] == "zero"]
        row[subject] = {
            "fvu": reconstruction["fvu"],
            "l0": sparsity["l0"],
            "unfired_share": sparsity["unfired_share"],
            "window_tokens": sparsity["window_tokens"],
            "loss_recovered": recovered[0]["loss_recovered"],
        }
    return row


def _of(sections: Sequence[Mapping[str, Any]], subject: str) -> Mapping[str, Any]:
    return next(section for section in sections if section["subject"] == subject)


def table(found: Mapping[str, Any]) -> str:
    """Return the rows as Markdown."""
    head = "| place | FVU | random twin | L0 | silent latents | loss recovered (zero ablation) | random twin |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in found["rows"]:
        ours, twin = row["dictionary"], row["random"]
        lines.append(
            f"| {row['place']} | {_shown(ours['fvu'])} | {twin['fvu']['value']:.3f} | {ours['l0']['value']:.1f} "
            f"| {100 * ours['unfired_share']:.1f} % | {_shown(ours['loss_recovered'])} "
            f"| {twin['loss_recovered']['value']:.3f} |"
        )
    return "\n".join(lines)


def _shown(estimate: Mapping[str, Any]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
