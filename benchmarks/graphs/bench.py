# pyright: standard
"""Attribution graphs of a model in the box through transcoders trained for it: scores, and how they fall.

One command trains a transcoder for the MLP of every layer on text of the kind that the model was trained on. Graphs are
then drawn on prompts of the criteria in the box. Scores are compared with those of twins whose latents write the same
vectors, each another's (what is read no longer fits what is written), and measured again with shares of the latents
removed. A graph whose dictionaries do not fit has small scores; removing latents lowers them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.sources import open_prompts
from interp_lab.engine.graphs.linear import Placed, freeze
from interp_lab.engine.graphs.nodes import nodes_of, weights_of
from interp_lab.methods.graph_influence import scores
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.settings import Settings
from interp_lab.workflows.graphs.build import open_dictionaries

MODEL, LAYERS, WIDTH, K = "builtin:pocket-gpt2", 4, 768, 16
TOKENS, DOCUMENTS = 250_000, 4_000
TRAINING = {"learning_rate": 1e-3, "warmup_steps": 100, "decay_steps": 600, "dead_window_tokens": 500_000}
CRITERIA = ("person-name", "question", "docstring", "negation")
PER_CRITERION, MAX_FEATURES, N_LOGITS = 2, 5000, 5
REMOVED = (0.0, 0.25, 0.5, 0.75, 1.0)
CORPUS = Path(__file__).resolve().parents[2] / "scripts" / "pocket_corpus.py"
Change = Callable[[Placed], Placed]


def main(arguments: Sequence[str]) -> int:
    """Train, draw, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=None, help="folder that keeps the transcoders")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--write", type=Path, default=None)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (chosen.workspace or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        names, seconds = trained(folder, chosen.tokens, chosen.width)
        found = {
            "bench": "graphs", "model": MODEL, "width": chosen.width, "k": K, "tokens": chosen.tokens,
            "train_seconds": seconds, **measured(folder, names),
        }  # fmt: skip
    if chosen.write is not None:
        chosen.write.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0


def trained(folder: Path, tokens: int, width: int) -> tuple[list[str], float | None]:
    """Return the transcoders of every layer, trained unless the folder has them, and how long that took."""
    known = folder / "transcoders.json"
    if known.exists():
        kept = json.loads(known.read_text(encoding="utf-8"))
        return kept["names"], kept["seconds"]
    subprocess.run([sys.executable, str(CORPUS), "pocket.jsonl", "--documents", str(DOCUMENTS)], cwd=folder, check=True)
    source = {"kind": "stream", "model": MODEL, "dataset": "pocket.jsonl"}
    command = [
        "train_sae", "--source", json.dumps(source), "--kind", "transcoder",
        "--addresses", *(f"mlp_in.{layer}" for layer in range(LAYERS)),
        "--targets", *(f"mlp_out.{layer}" for layer in range(LAYERS)),
        "--widths", str(width), "--sparsities", str(K), "--training", json.dumps({**TRAINING, "total_tokens": tokens}),
        "--workspace", str(folder), "--json",
    ]  # fmt: skip
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "interp_lab_server", *command], stdout=subprocess.PIPE, check=False, text=True
    )
    seconds = round(time.perf_counter() - start, 1)
    if run.returncode:
        raise SystemExit(f"train_sae failed: {run.stdout}")
    answer = json.loads(run.stdout)
    names = [artifact["id"] for artifact in answer["artifacts"] if artifact["kind"] == "dictionary"]
    known.write_text(json.dumps({"names": names, "seconds": seconds}), encoding="utf-8")
    return names, seconds


def measured(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return the mean scores over prompts: as trained, of the twin, and with latents removed."""
    settings = Settings(workspace=folder)
    loaded = load_model(fetch(ModelRef(id=MODEL), settings))
    placed = open_dictionaries(names, loaded, settings)
    prompts = chosen_prompts(loaded, settings)
    start = time.perf_counter()
    rows = {str(share): graphs(loaded, prompts, [without(each, share) for each in placed]) for share in REMOVED}
    return {
        "prompts": len(prompts), "tokens_per_prompt": fmean(len(prompt) for prompt in prompts),
        "removed": rows, "twin": graphs(loaded, prompts, [shuffled(each) for each in placed]),
        "seconds_per_graph": round((time.perf_counter() - start) / len(prompts) / len(REMOVED), 2),
        "fvu": [fvu(loaded, prompts, each) for each in placed],
    }  # fmt: skip


def chosen_prompts(loaded: LoadedModel, settings: Settings) -> list[TokenizedPrompt]:
    """Return the shortest positive prompts of every criterion."""
    texts: dict[str, str] = {}
    for name in CRITERIA:
        found = open_prompts(BuiltinDataset(name=name), settings)
        on = [text for text, positive in zip(found.texts(), found.positive(0.5), strict=True) if positive]
        texts |= {f"{name} {n}": text for n, text in enumerate(sorted(on, key=len)[:PER_CRITERION])}
    return list(tokenize(loaded, texts))


def graphs(loaded: LoadedModel, prompts: Sequence[TokenizedPrompt], placed: Sequence[Placed]) -> dict[str, float]:
    """Return the mean replacement and completeness of the graphs of prompts."""
    found = [_scores(loaded, prompt, placed) for prompt in prompts]
    replacement, completeness = ([row[i] for row in found] for i in (0, 1))
    return {
        "replacement": round(fmean(replacement), 4), "completeness": round(fmean(completeness), 4),
        "smallest_replacement": round(min(replacement), 4), "smallest_completeness": round(min(completeness), 4),
    }  # fmt: skip


def _scores(loaded: LoadedModel, prompt: TokenizedPrompt, placed: Sequence[Placed]) -> tuple[float, float]:
    frozen = freeze(loaded, prompt, placed)
    nodes = nodes_of(frozen, placed, max_features=MAX_FEATURES, n_logits=N_LOGITS, mass=0.95)
    kinds = [node.kind for node in nodes.all]
    of = scores(
        weights_of(frozen, placed, nodes),
        np.array([node.probability or 0.0 for node in nodes.all]),
        tokens=np.array([kind == "embedding" for kind in kinds]),
        errors=np.array([kind == "error" for kind in kinds]),
    )
    return of.replacement, of.completeness


def without(placed: Placed, share: float) -> Placed:
    """Return the dictionary with a random share of its latents silent."""
    n = len(placed.writing)
    gone = torch.randperm(n, generator=torch.Generator().manual_seed(0))[: round(share * n)]

    def encode(rows: Tensor) -> Tensor:
        codes = placed.encode(rows).clone()
        codes[:, gone] = 0.0
        return codes

    return replace(placed, encode=encode)


def shuffled(placed: Placed) -> Placed:
    """Return the twin: every latent writes what another one wrote."""
    order = torch.randperm(len(placed.writing), generator=torch.Generator().manual_seed(1))
    return replace(placed, writing=placed.writing[order])


def fvu(loaded: LoadedModel, prompts: Sequence[TokenizedPrompt], placed: Placed) -> float:
    """Return the share of the variance of what it writes that the dictionary misses on these prompts."""
    missed, whole = [], []
    for prompt in prompts:
        values = freeze(loaded, prompt, [placed]).values
        wanted = values[placed.writes]
        made = placed.encode(values[placed.reads]) @ placed.writing + placed.constant
        missed.append((wanted - made).detach())
        whole.append(wanted)
    every = torch.cat(whole)
    return round(float(torch.cat(missed).square().sum() / (every - every.mean(0)).square().sum()), 4)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
