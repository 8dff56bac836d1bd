"""How many planted directions training recovers: from a world, from a model that carries it, and from twins without it.

`make planted-directions` writes benchmarks/results/planted_directions.json. Recovered: a decoder row at cosine 0.9 or
more; counted are the directions that fire on 0.1 % of the rows or more. Seeds are of the reporting range.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig
from interp_lab.contracts.sparse import DictionaryDials
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.worlds.sparse.build import build_sparse
from interp_lab.worlds.sparse.carrier import carrier, random_weights, read_all

SEEDS = (1000, 1001, 1002)
WIDTH, ROWS, BATCH, EPOCHS, LEARNING_RATE = 64, 24_000, 512, 12, 1e-2
DIALS = {
    "about 1 active": DictionaryDials(
        features=96, width=WIDTH, rows=ROWS, roots=0, probabilities=(0.1, 0.004), orthogonal_steps=50
    ),
    "about 3 active": DictionaryDials(
        features=96, width=WIDTH, rows=ROWS, roots=0, probabilities=(0.2, 0.01), orthogonal_steps=50
    ),
}
WANTED = 0.9


def main(arguments: Sequence[str]) -> int:
    """Train, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--worlds", nargs="*", default=list(DIALS), choices=DIALS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--write", type=Path, default=None)
    chosen = parser.parse_args(arguments)
    rows = [row for name in chosen.worlds for seed in chosen.seeds for row in _world(name, seed, chosen.epochs)]
    planted = [row["recovered"] for row in rows if row["from"] in ("world", "model that carries it")]
    twins = [row["recovered"] for row in rows if row["from"] in ("random-weights model", "before training")]
    found = {
        "bench": "planted_directions",
        "least_recovered_where_planted": min(planted),
        "most_recovered_in_twins": max(twins),
        "targets_met": min(planted) >= WANTED and max(twins) == 0.0,
        "rows": rows,
        "machine": f"{os.cpu_count()} CPU cores, torch {torch.__version__}",
    }
    if chosen.write is not None:
        chosen.write.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0


def _world(name: str, seed: int, epochs: int) -> list[dict[str, Any]]:
    built = build_sparse("dictionary", DIALS[name], seed)
    fires = built.features > 0
    often = torch.from_numpy(fires.mean(axis=0) >= 1e-3)
    directions = torch.from_numpy(built.sealed["directions"])[often]
    rows, l0 = torch.from_numpy(built.visible["activations"]), float(fires.sum(axis=1).mean())
    bare = read_all(random_weights(len(rows), WIDTH, seed), seed)
    bare *= rows.norm(dim=1).mean() / bare.norm(dim=1).mean()
    sources = {
        "world": rows,
        "model that carries it": read_all(carrier(rows, seed), seed),
        "random-weights model": bare,
    }
    about = {"world": name, "seed": seed}
    found = [_row(about | {"from": who}, _train(x, l0, epochs), directions, x) for who, x in sources.items()]
    untrained = _train(rows[:BATCH], l0, 1, rate=1e-12)
    return [*found, _row(about | {"from": "before training"}, untrained, directions, rows)]


def _train(x: Tensor, k: float, epochs: int, rate: float = LEARNING_RATE) -> Trainer:
    steps = len(x) // BATCH * epochs
    config = DictionaryConfig(architecture="batchtopk", d_in=WIDTH, d_out=WIDTH, n_latents=2 * 96, k=k)
    training = TrainingConfig(
        total_tokens=steps * BATCH, batch_tokens=BATCH, learning_rate=rate, warmup_steps=min(20, steps),
        decay_steps=int(0.7 * steps), dead_window_tokens=10_000,
    )  # fmt: skip
    trainer = Trainer(config, training)
    draw = torch.Generator().manual_seed(1)
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=draw)[: len(x) // BATCH * BATCH].split(BATCH):
            trainer.step(x[part])
    return trainer


def _row(about: dict[str, Any], trainer: Trainer, directions: Tensor, x: Tensor) -> dict[str, Any]:
    closest = (directions @ normalize(trainer.dictionary().W_dec, dim=1).T).amax(dim=1)
    recovered, fvu = float((closest >= WANTED).float().mean()), trainer.evaluate([x]).fvu
    print(f"{about['world']} {about['seed']} {about['from']:<24} {recovered:.3f} FVU {fvu:.3f}", file=sys.stderr)
    mean = round(float(closest.mean()), 4)
    return about | {"recovered": round(recovered, 4), "mean_cosine": mean, "fvu": round(fvu, 4)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
