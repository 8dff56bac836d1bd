"""Time one inspection of stored codes, and of activation records beside interp-lab 3.1.0 on the same file.

`python benchmarks/inspect/bench.py [--layers 12] [--latents 24576] [--prompts 1000] [--tokens 32]` prints the figures
and writes `benchmarks/results/inspect.json`; the last line is one JSON object. Times are CPU seconds of one process
with one thread. The store has the shape of GPT-2-small with a dictionary per layer; its codes are synthetic, because
only their number and spread matter here. The peer is a foreign package: `make bench-inspect` puts it into a folder of
its own, and without it the ratio is left out. `equal` says that the peer's Pearson correlation of every feature is that
of the numbers in the file.
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
MOST_S = {"store": 20.0, "records": 1.0}
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


def agrees(records: Path, peer: dict[str, float]) -> bool:
    """Whether the peer's correlations are those of the numbers in the file, which our statistics read too."""
    lines = [json.loads(line) for line in records.open()]
    names = list(lines[0]["features"])
    values = np.array([list(line["features"].values()) for line in lines])
    scores = np.array([line["criterion_score"] for line in lines])
    own = np.corrcoef(values.T, scores)[-1, :-1]
    return all(abs(peer[name] - r) < 1e-4 for name, r in zip(names, own, strict=True))


def main() -> int:
    """Print the figures; return 1 if a target was missed or the peer disagrees."""
    parser = argparse.ArgumentParser(description="Time one inspection.")
    for name, default in (("layers", 12), ("latents", 24576), ("prompts", 1000), ("tokens", 32), ("width", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    size = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_records(folder / "records.jsonl", size.prompts, size.width)
        inspected(folder, "m", "records:records.jsonl", 8)  # what is read once per process is not counted
        report, records_s = inspected(folder, "m", "records:records.jsonl", 8)
        peer = peer_inspected(folder, folder / "records.jsonl")
        write_store(folder / "store", size)
        whole, store_s = inspected(folder, "gpt2-shape", "store:store", 10)
        equal = peer is None or agrees(folder / "records.jsonl", peer[0])
    met = {"store": store_s <= MOST_S["store"], "records": records_s <= MOST_S["records"]}
    ratios = {} if peer is None else {"interp-lab 3.1.0/records": round(peer[1] / records_s, 1)}
    details = {
        "shape": vars(size),
        "store": {"cpu_s": round(store_s, 2), "n_tested": whole.n_tested, "n_significant": whole.n_significant},
        "records": {"cpu_s": round(records_s, 2), "n_tested": report.n_tested},
        "peer_records_cpu_s": None if peer is None else round(peer[1], 1),
        "targets_s": MOST_S,
        "met": met,
    }
    last = {"bench": "inspect", "ratios": ratios, "equal": equal, "targets_met": all(met.values())}
    RESULTS.write_text(json.dumps({**last, "details": details}, indent=1) + "\n")
    print(json.dumps(details, indent=1))
    print(json.dumps(last))
    return 0 if equal and all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
