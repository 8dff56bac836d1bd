"""Time questions to an activation store beside a JSONL scan, indexed SQLite rows, and DuckDB where it is installed.

`python benchmarks/query/bench.py [--rows 1000000 10000000] [--latents 16384] [--dense-width 32] [--peer-rows 50000]`
prints the figures and keeps them in `benchmarks/results/query.json`; the last line is one JSON object. Stores are
written and read in pieces, so that ten million rows need disk (about 6 GB), not memory: the peak is on record. Peers
hold the same first rows as a small store of ours, so that every ratio is at equal size; nothing is extrapolated. Times
are CPU seconds of this process with one thread, the least of a few runs, so that a busy machine does not decide; a
look-up of top rows, far below a clock tick, is wall time. Every answer of a peer is compared with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers import CHUNK, KEY, PEERS, TOP, timed
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.query import QueryRequest
from interp_lab.contracts.store import CodeColumn, DenseColumn, LabelField, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.statistics.block_association import Target, auroc_of, cohen_d_of
from interp_lab.statistics.blocks import Block
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.query_activations import query_activations
from interp_lab.workflows.querying.associate import run_tests
from interp_lab.workflows.querying.columns import Source, unit_blocks, unit_moments
from interp_lab.workflows.querying.contexts import ranked_rows
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.targets import find_targets
from interp_lab.workflows.querying.view import StoreView, UnitRef, open_view

DENSE, ACTIVE, PROMPT_TOKENS, ROUNDS = "resid_post.6", 32, 128, 3
MOST = {"top_p99_ms": 0.1, "contexts_question_ms": 10.0, "auroc_s": 1.0}
"""At a million rows; seconds of CPU may grow with the rows, a look-up may not."""
RESULTS = Path(__file__).resolve().parents[1] / "results" / "query.json"
MILLION = 1_000_000
LEAST = {"top/jsonl": 100.0, "cohen_d/jsonl": 100.0}
"""Ratios at equal size."""


class Size(NamedTuple):
    """How large a store is."""

    rows: int
    latents: int
    dense: int
    """Width of the dense column."""


def walled(work: Callable[[], Any]) -> float:
    """Return the wall time of one run, in milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def code_chunks(size: Size) -> Iterator[CodeBlock]:
    """Yield synthetic codes: Zipf-like latents, 32 a row at most, values of a rounded gamma distribution."""
    rng = np.random.default_rng(0)
    share = 1 / (np.arange(size.latents) + 20.0) ** 0.8
    edges = np.cumsum(share / share.sum())
    for start in range(0, size.rows, CHUNK):
        n = min(CHUNK, size.rows - start)
        drawn = np.sort(np.searchsorted(edges, rng.random((n, ACTIVE))).clip(max=size.latents - 1), axis=1)
        fresh = np.ones(drawn.shape, dtype=bool)
        fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        indptr = np.concatenate([[0], np.cumsum(fresh.sum(axis=1))])
        values = rng.gamma(2.0, 1.0, int(indptr[-1])).astype(np.float32) + 0.05
        yield CodeBlock(indptr.astype(np.int64), drawn[fresh].astype(np.int32), values)


def build(folder: Path, size: Size) -> None:
    """Write a store with one prompt label."""
    address = Address.parse(DENSE)
    header = StoreHeader(
        columns=(
            DenseColumn(address=address, width=size.dense),
            CodeColumn(address=address, dictionary="sae", width=size.latents),
        ),
        labels=(LabelField(name="topic", type="boolean"),),
    )
    n_prompts = -(-size.rows // PROMPT_TOKENS)
    start, rng = 0, np.random.default_rng(3)
    with StoreWriter(folder, header, shard_rows=1 << 20) as writer:
        for block in code_chunks(size):
            index = np.arange(start, start + len(block.indptr) - 1)
            rows = {"prompt": index // PROMPT_TOKENS, "position": index % PROMPT_TOKENS, "token": ["a"] * index.size}
            dense = rng.standard_normal((index.size, size.dense), dtype=np.float32)
            writer.add(RowBlock(rows=rows, columns={DENSE: dense, KEY: block}))
            start += index.size
        topic = np.random.default_rng(1).random(n_prompts) < 0.3
        writer.finish(
            {
                "id": [f"p{i}" for i in range(n_prompts)],
                "text": [f"t{i}" for i in range(n_prompts)],
                "group": np.arange(n_prompts),
                "label:topic": topic,
            }
        )


def ours(view: StoreView, settings: Settings) -> dict[str, Any]:
    """Return our times on an open store, and what peers are compared with."""
    rows = choose_rows(view, ())
    units, columns = np.arange(view.column(KEY).width), np.arange(view.column(DENSE).width)
    target = find_targets(rows, ["label:topic"], max_values=20).usable[0]
    codes = view.store.codes(KEY)
    latents = np.random.default_rng(2).integers(0, units.size, 2000)
    for latent in latents[:50]:
        codes.latent(int(latent), TOP)
    each = np.array([walled(lambda latent=latent: codes.latent(int(latent), TOP)) for latent in latents])
    # Another unit every time: an answer that was given already is only shown again.
    asked = [timed(lambda unit=unit: contexts(view, settings, unit)).seconds * 1e3 for unit in range(100, 121)]
    auroc = timed(lambda: every_auroc(rows, target), ROUNDS)
    alone = timed(lambda: every_d(rows, target), ROUNDS)
    tested = timed(lambda: run_tests(rows, KEY, units, [target]), 2)
    dense = timed(lambda: run_tests(rows, DENSE, columns, [target]))
    moments = timed(lambda: unit_moments(rows, KEY, units, fires_above=0.0), ROUNDS)
    return {
        "top_p50_ms": float(np.median(each)),
        "top_p99_ms": float(np.quantile(each, 0.99)),
        "contexts_question_ms": float(np.median(asked)),
        "auroc_s": auroc.seconds,
        "cohen_d_s": alone.seconds,
        "associate_s": tested.seconds,
        "dense_associate_s": dense.seconds,
        "moments_s": moments.seconds,
        "_top": ranked_rows(rows, UnitRef(KEY, 100)),
        "_auroc": auroc.value,
        "_auroc_associated": tested.value.found[0].estimate,
        "_d": tested.value.found[0].d,
        "_d_alone": alone.value,
        "_label": target.values.astype(bool),
        "_ask_d": lambda: every_d(rows, target),
    }


def contexts(view: StoreView, settings: Settings, unit: int) -> Any:
    """Return the first page of a latent's contexts, as an agent gets it."""
    query = {"kind": "contexts", "column": KEY, "unit": unit}
    request = QueryRequest.model_validate({"store": view.name, "query": query, "limit": TOP})
    return query_activations(request, settings=settings, publish=lambda result, _: result)


def every_auroc(rows: RowSet, target: Target) -> np.ndarray:
    """Return the exact AUROC of every latent with one label."""
    return np.concatenate([auroc_of(block, target) for block in every_block(rows)])


def every_d(rows: RowSet, target: Target) -> np.ndarray:
    """Return Cohen's d of every latent with one label, and nothing else."""
    return np.concatenate([cohen_d_of(block, target) for block in every_block(rows)])


def every_block(rows: RowSet) -> Iterator[Block]:
    """Yield all latents, some at a time."""
    return (block for _, (block,) in unit_blocks([Source(rows, KEY)], np.arange(rows.view.column(KEY).width)))


def is_equal(peer: dict[str, Any], mine: dict[str, Any]) -> bool:
    """Return whether a peer's answers are ours."""
    same_top = np.allclose(peer["top"].value, mine["_top"].values[:TOP], rtol=1e-6)
    return same_top and np.allclose(peer["d"].value, mine["_d"], rtol=1e-4, atol=1e-7)


def is_consistent(view: StoreView, mine: dict[str, Any]) -> bool:
    """Return whether our ways to the same number agree with each other, and AUROC with scikit-learn."""
    columns = view.store.codes(KEY).units(SAMPLED)
    peers = [roc_auc_score(mine["_label"], column) for column in columns.T]
    return (
        np.allclose(mine["_auroc"][list(SAMPLED)], peers, rtol=1e-9)
        and np.allclose(mine["_auroc"], mine["_auroc_associated"], rtol=1e-12)
        and np.allclose(mine["_d_alone"], mine["_d"], rtol=1e-7, atol=1e-12)
    )


def compare(size: Size, folder: Path) -> tuple[dict[str, Any], dict[str, float], bool]:
    """Return figures of ours and of every peer on a small store, ratios, and whether all answers are equal."""
    settings = Settings(workspace=folder)
    build(folder / "small", size)
    view = open_view("small", settings)
    mine = ours(view, settings)
    label = mine["_label"]
    made = {name: make(view, folder, label) for name, make in PEERS.items()}
    peers = {name: peer for name, peer in made.items() if peer is not None}
    equal = is_consistent(view, mine) and all(is_equal(peer, mine) for peer in peers.values())
    shown: dict[str, Any] = {"size": size._asdict(), "ours": public(mine)}
    ratios: dict[str, float] = {}
    for name, peer in peers.items():
        shown[name] = {"top_ms": peer["top"].seconds * 1e3, "cohen_d_s": peer["d"].seconds, "bytes": peer["bytes"]}
        ratios[f"top/{name}"] = shown[name]["top_ms"] / mine["top_p50_ms"]
        ratios[f"cohen_d/{name}"] = shown[name]["cohen_d_s"] / mine["cohen_d_s"]
    # One after the other, round by round: what else the machine does falls on both.
    rounds = [(timed(peers["jsonl"]["_ask_d"]).seconds, timed(mine["_ask_d"], 5).seconds) for _ in range(ROUNDS)]
    ratios["cohen_d/jsonl"] = float(np.median([peer / own for peer, own in rounds]))
    codes = sum(part.file.bytes for part in view.store.manifest.postings[KEY])
    codes += sum(shard.columns[KEY].bytes for shard in view.store.manifest.shards)
    ratios["bytes/jsonl"] = peers["jsonl"]["bytes"] / codes
    return shown, ratios, equal


SAMPLED = (0, 100, 500)
"""Latents of which scikit-learn computes the AUROC."""


def public(mine: dict[str, Any]) -> dict[str, Any]:
    """Return the figures without the arrays, four digits each."""
    return {name: float(f"{value:.4g}") for name, value in mine.items() if not name.startswith("_")}


def sizes() -> tuple[Size, list[Size]]:
    """Return the small and the large sizes that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[MILLION, 10 * MILLION])
    parser.add_argument("--latents", type=int, default=16_384)
    parser.add_argument("--dense-width", type=int, default=32)
    parser.add_argument("--peer-rows", type=int, default=50_000)
    parsed = parser.parse_args()
    width = parsed.latents, parsed.dense_width
    return Size(parsed.peer_rows, *width), [Size(rows, *width) for rows in parsed.rows]


def measure_large(size: Size, folder: Path) -> tuple[dict[str, Any], bool]:
    """Return our figures on a large store, and whether our two ways to every AUROC agree."""
    build(folder / "large", size)
    view = open_view("large", Settings(workspace=folder))
    mine = ours(view, Settings(workspace=folder))
    n_bytes = sum(file.bytes for file in view.store.manifest.files)
    own_bytes = anonymous_bytes()
    shutil.rmtree(folder / "large")
    agree = bool(np.allclose(mine["_auroc"], mine["_auroc_associated"], rtol=1e-12))
    return {"size": size._asdict(), **public(mine), "store_bytes": n_bytes, "own_memory_bytes": own_bytes}, agree


def anonymous_bytes() -> int:
    """Return the memory that this process holds for itself; pages of mapped files are the system's to drop."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) * 1024


def too_slow(figures: dict[str, Any]) -> list[str]:
    """Return which targets a large store misses; what is counted in seconds may grow with the rows."""
    times = max(1.0, figures["size"]["rows"] / MILLION)
    limits = {name: most * times if name.endswith("_s") else most for name, most in MOST.items()}
    return [
        f"{name} {figures[name]} > {most} at {figures['size']['rows']:,} rows"
        for name, most in limits.items()
        if figures[name] > most
    ]


def main() -> int:
    """Return 0 if every answer is equal and every target met; print figures and one JSON line."""
    small, large = sizes()
    with tempfile.TemporaryDirectory() as name:
        at_equal_size, ratios, equal = compare(small, Path(name))
        found: list[dict[str, Any]] = []
        for size in large:
            figures, agree = measure_large(size, Path(name))
            found.append(figures)
            equal &= agree
    missed = [entry for figures in found for entry in too_slow(figures)]
    missed += [f"{name} {ratios[name]:.0f} < {least:.0f}" for name, least in LEAST.items() if ratios[name] < least]
    for name, figures in at_equal_size.items():
        print(f"at {small.rows} rows, {name}: {figures}")
    for figures in found:
        print(f"large: {figures}")
    print("ratios at equal size:", {name: round(value, 1) for name, value in ratios.items()})
    print("targets missed:", "; ".join(missed) or "none")
    report = {
        "bench": "query",
        "ratios": {name: round(value, 1) for name, value in ratios.items()},
        "equal": bool(equal),
        "targets_met": not missed,
        "missed": missed,
        "figures": {"equal_size": at_equal_size, "large": found},
        "peak_bytes_with_mapped_files": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "machine": f"{os.cpu_count()} CPU cores, no GPU, {date.today()}",
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if equal and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
