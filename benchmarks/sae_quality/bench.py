# pyright: standard
"""Train dictionaries on worlds of known features with this project and SAELens, and print one JSON object.

Three worlds of the SynthSAEBench recipe, scaled to 256 features in 64 coordinates; L1, TopK, BatchTopK and Matryoshka
of 128 latents; equal rows in equal order, batch, learning rate, schedule and k. The k is the number of features of the
more frequent half that are truly active; the L1 weight that gives that many was found on development seed 0. Everything
is a mean over the worlds with the standard deviation over them, and ours is as good where its mean lies no more than
two standard deviations of theirs below theirs, or above.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from trainers import ARCHITECTURES, TRAINERS, Run, train
from worlds import DIALS, N_LATENTS, read_truth, write_world

from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.training.metrics import evaluate
from interp_lab.methods.dictionary_evaluation.recovery import DetectionSum, directions_recovered

SEEDS = (1000, 1001, 1002)
"""Reported figures; nothing was chosen on them."""
STEPS = 1000
PENALTY = {"interp-lab": 4.5, "sae-lens": 4.5}
FIGURES = ("mcc", "f1", "uniqueness", "explained_variance")
ORDER = ("matryoshka", "batchtopk", "relu")
"""Published order of F1, best first."""


def main(arguments: Sequence[str]) -> int:
    """Train, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--architectures", nargs="*", default=list(ARCHITECTURES), choices=ARCHITECTURES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--penalty", type=float, default=None, help="weight of L1 for both trainers")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", type=Path, default=None)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(Path(folder), chosen)
    found = summary(rows, chosen)
    if chosen.write is not None:
        chosen.write.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0


def _rows(folder: Path, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    jobs: list[tuple[Run, Path]] = []
    for seed in chosen.seeds:
        world = folder / str(seed)
        world.mkdir()
        write_world(world, seed)
        k = read_truth(world).l0
        for architecture, trainer in product(chosen.architectures, TRAINERS):
            penalty = PENALTY[trainer] if chosen.penalty is None else chosen.penalty
            jobs.append((Run(trainer, architecture, seed, k, penalty, chosen.steps), world))
    with ProcessPoolExecutor(chosen.workers) as pool:
        return list(pool.map(_row, jobs))


def _row(job: tuple[Run, Path]) -> dict[str, Any]:
    torch.set_num_threads(1)
    run, world = job
    figures = scores(train(run, world), world)
    row = {"architecture": run.architecture, "trainer": run.trainer, "seed": run.seed, "k": run.k, **figures}
    shown = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
    print(f"{run.architecture:>10} {run.trainer:<10} {run.seed} k {run.k} {shown}", file=sys.stderr)
    return row


@torch.no_grad()
def scores(dictionary: Dictionary, world: Path) -> dict[str, float]:
    """Return how a dictionary does on the held-out rows of a world."""
    truth = read_truth(world)
    decoder = dictionary.W_dec.numpy()
    where = directions_recovered(decoder, truth.directions, truth.density)
    detectors = DetectionSum(decoder, truth.directions)
    detectors.add((dictionary.encode(truth.x) > 0).numpy(), truth.fires)
    found = evaluate(dictionary, [truth.x])
    return {
        "mcc": where.mcc,
        "f1": detectors.figures().f1,
        "uniqueness": where.uniqueness,
        "explained_variance": 1.0 - found.fvu,
        "l0": found.l0,
        "recovered": where.recovered,
    }


def summary(rows: Sequence[dict[str, Any]], chosen: argparse.Namespace) -> dict[str, Any]:
    """Return means and deviations over worlds, what is as good as SAELens' and whether the published order holds."""
    table = {
        architecture: {
            trainer: _over_worlds([r for r in rows if (r["architecture"], r["trainer"]) == (architecture, trainer)])
            for trainer in TRAINERS
        }
        for architecture in chosen.architectures
    }
    as_good = {
        architecture: {
            name: as_good_as(*(table[architecture][trainer][name] for trainer in TRAINERS)) for name in FIGURES
        }
        for architecture in table
    }
    f1 = {trainer: [table[each][trainer]["f1"]["mean"] for each in ORDER if each in table] for trainer in TRAINERS}
    return {
        "bench": "sae_quality",
        "world": DIALS.model_dump(mode="json"),
        "n_latents": N_LATENTS,
        "steps": chosen.steps,
        "table": table,
        "as_good": as_good,
        "published_order_of_f1": {trainer: means == sorted(means, reverse=True) for trainer, means in f1.items()},
        "rows": list(rows),
        "machine": f"{os.cpu_count()} CPU cores, 1 thread each, torch {torch.__version__}",
    }


def as_good_as(ours: dict[str, float], theirs: dict[str, float]) -> bool:
    """Return whether our mean is above theirs, or below by two of their standard deviations at most."""
    return ours["mean"] >= theirs["mean"] - 2.0 * theirs["sd"]


def _over_worlds(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "mean": round(mean(row[name] for row in rows), 4),
            "sd": round(stdev([row[name] for row in rows]), 4) if len(rows) > 1 else 0.0,
        }
        for name in (*FIGURES, "l0", "recovered")
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
