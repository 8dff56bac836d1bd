"""Time one inspection of stored codes, and of activation records beside interp-lab 3.1.0 on the same file.

`python benchmarks/inspect/bench.py [--layers 12] [--latents 24576] [--prompts 1000] [--tokens 32]` prints the figures
and writes `benchmarks/results/inspect.json`; the last line is one JSON object. Times are CPU seconds of one process
with one thread. The store has the shape of GPT-2-small with a dictionary per layer; its codes are synthetic, because
only their number and spread matter here. Records are timed in both forms of the peer: dimensions by name, and latents
with the decoder row beside every value, a file of 1.7 GB, whose hash alone is timed too. The peer is a foreign package:
`make bench-inspect` puts it into a folder of its own, and without it the ratios are left out. `equal` says that the
peer's Pearson correlation of every feature is that of the numbers in the file, and that both forms give this project
the same ranking.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.store import CodeColumn, StoredModel, StoreHeader
from interp_lab.jobs.run import LocalRun
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.inspect import inspect

ACTIVE = 32
MOST_S = {"store": 20.0, "records": 1.0, "latent_records": 1.0}
RESULTS = Path(__file__).parents[1] / "results" / "inspect.json"
WORDS = ["river", "stone", "cloud", "paper", "glass", "copper", "garden", "winter", "signal", "market", "engine"]


def texts(n: int) -> list[str]:
    """Return texts that are not near-duplicates of each other."""
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, 8)) + f" {i}x" for i in range(n)]


def write_store(folder: Path, size: argparse.Namespace) -> None:
    """Write codes of every layer: latents as frequent as 1/rank, five of them follow the label."""
    keys = [f"resid_post.{layer}/sae" for layer in range(size.layers)]
    columns = tuple(
        CodeColumn(address=Address.parse(key.split("/")[0]), dictionary="sae", width=size.latents) for key in keys
    )
    labels = np.arange(size.prompts) % 2
    n_rows, rng = size.prompts * size.tokens, np.random.default_rng(0)
    share = np.cumsum(1 / (np.arange(size.latents) + 20.0) ** 0.8)
    edges = share / share[-1]
    row_label = np.repeat(labels, size.tokens)
    with StoreWriter(folder, StoreHeader(model=StoredModel(id="gpt2-shape"), columns=columns)) as writer:
        blocks: dict[str, Any] = {}
        for key in keys:
            drawn = np.searchsorted(edges, rng.random((n_rows, ACTIVE))).clip(max=size.latents - 1)
            planted = rng.integers(0, 5, n_rows)
            drawn[:, 0] = np.where((row_label > 0) & (rng.random(n_rows) < 0.2), planted, drawn[:, 0])
            drawn.sort(axis=1)
            fresh = np.ones(drawn.shape, dtype=bool)
            fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
            indptr = np.concatenate([[0], np.cumsum(fresh.sum(axis=1))])
            values = rng.gamma(2.0, 1.0, int(indptr[-1])).astype(np.float32) + 0.05
            blocks[key] = CodeBlock(indptr.astype(np.int64), drawn[fresh].astype(np.int32), values)
        index = np.arange(n_rows)
        rows = {"prompt": index // size.tokens, "position": index % size.tokens, "token": ["a"] * n_rows}
        writer.add(RowBlock(rows=rows, columns=blocks))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(size.prompts)],
                "text": texts(size.prompts),
                "group": list(range(size.prompts)),
                "score": [float(label) for label in labels],
            }
        )


def write_records(path: Path, n: int, width: int) -> None:
    """Write activation records in the peer's form, every feature in every record."""
    rng, shown = np.random.default_rng(0), texts(n)
    labels = np.arange(n) % 2
    values = np.maximum(0, rng.normal(size=(n, width)) - 0.5)
    values[:, :5] += labels[:, None] * 0.8
    with path.open("w") as file:
        for i in range(n):
            features = {f"L8:D{j}": round(float(values[i, j]), 6) for j in range(width)}
            record = {"model": "m", "prompt_id": f"p{i}", "text": shown[i], "criterion_score": float(labels[i])}
            file.write(json.dumps({**record, "features": features}) + "\n")


def write_latent_records(path: Path, n: int, width: int) -> None:
    """Write the same values as the peer's records of dictionary latents: the decoder row beside every value."""
    rng, shown = np.random.default_rng(0), texts(n)
    labels = np.arange(n) % 2
    values = np.maximum(0, rng.normal(size=(n, width)) - 0.5)
    values[:, :5] += labels[:, None] * 0.8
    names = [f"SAE:L8:F{j}" for j in range(width)]
    after = [
        json.dumps(
            {"decoder_signature": rng.normal(size=128).tolist(), "feature_id": name, "label": "latent", "layer": 8}
        )
        for name in names
    ]
    sources = [{"source": f"L8:D{j}", "weight": float(rng.normal())} for j in range(8)]
    metadata = json.dumps(
        {name: {"decoder_top_sources": sources, "layer": 8, "source": "trained-sae"} for name in names}
    )
    with path.open("w") as file:
        for i in range(n):
            features = ", ".join(
                f'{{"activation": {v:.8f}, {rest[1:]}' for v, rest in zip(values[i], after, strict=True)
            )
            head = (
                f'{{"criterion_score": {float(labels[i])}, "feature_metadata": {metadata}, "features": [{features}], '
            )
            rest = json.dumps({"model": "m", "prompt_id": f"p{i}", "text": shown[i]})
            file.write(head + rest[1:] + "\n")


def inspected(workspace: Path, model: str, evidence: str, top_k: int) -> tuple[InspectReport, float]:
    """Return the report of an inspection and its CPU seconds."""
    request = InspectRequest.model_validate(
        {"model": model, "criterion": "the planted thing", "evidence": evidence, "top_k": top_k}
    )
    run = LocalRun(workspace / "out")
    start = time.process_time()
    inspect(request, run, settings=Settings(workspace=workspace), suggest=lambda _: ())
    seconds = time.process_time() - start
    return InspectReport.model_validate_json((run.written[-1] / "report.json").read_text()), seconds


def hash_seconds(path: Path) -> float:
    """Return the CPU seconds that SHA-256 of a file takes alone: what no reading that names it can be faster than."""
    start = time.process_time()
    hash_file(path)
    return time.process_time() - start


def peer_inspected(folder: Path, records: Path) -> tuple[dict[str, float], float] | None:
    """Return the peer's signed correlation by feature and its CPU seconds, or None where it is not installed."""
    place = os.environ.get("INSPECT_PEER", "")
    if not place or not Path(place, "interp_lab").is_dir():
        return None
    out = folder / "peer"
    command = [sys.executable, "-m", "interp_lab", "inspect", "--backend", "records", "--model", "m", "--criterion"]
    command += ["the planted thing", "--records", str(records), "--out", str(out), "--top-k", "512"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": place}, cwd=folder, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cards = json.loads((out / "report.json").read_text())["cards"]
    found = {card["feature_id"]: float(card["causal_effects"]["signed_association"]) for card in cards}
    return found, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def agrees(path: Path, peer: dict[str, float]) -> bool:
    """Whether the peer's correlations are those of the numbers in the file, which our statistics read too."""
    columns: list[list[float]] = []
    scores: list[float] = []
    names: list[str] = []
    with path.open() as file:
        for line in map(json.loads, file):
            features = line["features"]
            if isinstance(features, list):
                features = {each["feature_id"]: each["activation"] for each in features}
            names = list(features)
            columns.append(list(features.values()))
            scores.append(line["criterion_score"])
    own = np.corrcoef(np.array(columns).T, scores)[-1, :-1]
    return all(abs(peer[name] - r) < 1e-4 for name, r in zip(names, own, strict=True))


def timed_records(folder: Path, name: str) -> tuple[InspectReport, dict[str, float], bool]:
    """Return our report of a file of records, CPU seconds of both sides, and whether the peer read the same numbers."""
    path = folder / name
    report, seconds = inspected(folder, "m", f"records:{name}", 8)
    times = {"cpu_s": round(seconds, 2), "sha256_cpu_s": round(hash_seconds(path), 2)}
    times["file_mb"] = round(path.stat().st_size / 1e6, 1)
    peer = peer_inspected(folder, path)
    if peer is None:
        return report, times, True
    times |= {"peer_cpu_s": round(peer[1], 1), "peer_over_ours": round(peer[1] / seconds, 1)}
    return report, times, agrees(path, peer[0])


def main() -> int:
    """Print the figures; return 1 if a target was missed or the peer disagrees."""
    parser = argparse.ArgumentParser(description="Time one inspection.")
    for name, default in (("layers", 12), ("latents", 24576), ("prompts", 1000), ("tokens", 32), ("width", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    size = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_records(folder / "records.jsonl", size.prompts, size.width)
        write_latent_records(folder / "latent_records.jsonl", size.prompts, size.width)
        inspected(folder, "m", "records:records.jsonl", 8)  # what is read once per process is not counted
        reports: list[InspectReport] = []
        parts: dict[str, dict[str, float]] = {}
        equal = True
        for name in ("records", "latent_records"):
            report, parts[name], agree = timed_records(folder, f"{name}.jsonl")
            reports.append(report)
            equal = equal and agree
        (folder / "latent_records.jsonl").unlink()
        write_store(folder / "store", size)
        whole, store_s = inspected(folder, "gpt2-shape", "store:store", 10)
    rankings = [[(card.index, card.explore.auroc) for card in report.coordinates] for report in reports]
    parts["store"] = {"cpu_s": round(store_s, 2), "n_tested": whole.n_tested, "n_significant": whole.n_significant}
    met = {name: parts[name]["cpu_s"] <= most for name, most in MOST_S.items()}
    ratios = {
        f"interp-lab 3.1.0/{name}": part["peer_over_ours"] for name, part in parts.items() if "peer_over_ours" in part
    }
    last = {
        "bench": "inspect",
        "ratios": ratios,
        "equal": equal and rankings[0] == rankings[1],
        "targets_met": all(met.values()),
    }
    details = {"shape": vars(size), **parts, "targets_s": MOST_S, "met": met}
    RESULTS.write_text(json.dumps({**last, "details": details}, indent=1) + "\n")
    print(json.dumps(details, indent=1))
    print(json.dumps(last))
    return 0 if last["equal"] and last["targets_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
