"""Time questions to an activation store beside a JSONL scan, indexed SQLite rows, and DuckDB where it is installed.

`python benchmarks/query/bench.py [--rows 1000000] [--peer-rows 50000]` prints the figures; the last line is one JSON
object. Peers hold the same first rows as a small store of ours, so that every ratio is at equal size; nothing is
extrapolated. Every answer of a peer is checked against ours before its time is shown.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.query import QueryRequest
from interp_lab.contracts.store import CodeColumn, LabelField, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.statistics.block_association import auroc_of, cohen_d_of
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.query_activations import query_activations
from interp_lab.workflows.querying.associate import run_tests
from interp_lab.workflows.querying.columns import Source, unit_blocks, unit_moments
from interp_lab.workflows.querying.contexts import ranked_rows
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.targets import find_targets
from interp_lab.workflows.querying.view import StoreView, UnitRef, open_view

KEY, N_LATENTS, ACTIVE, PROMPT_TOKENS = "resid_post.6/sae", 16_384, 32, 128
CHUNK, TOP = 1 << 16, 20
TARGETS = {"top_ms": 0.1, "auroc_s": 1.0, "over_jsonl": 100.0}


class Timed(NamedTuple):
    """What something gave and how long it took."""

    value: Any
    seconds: float


def timed(work: Callable[[], Any], runs: int = 1) -> Timed:
    """Return the last value and the shortest time of some runs."""
    best, value = float("inf"), None
    for _ in range(runs):
        start = time.perf_counter()
        value = work()
        best = min(best, time.perf_counter() - start)
    return Timed(value, best)


def code_chunks(n_rows: int) -> Iterator[CodeBlock]:
    """Yield synthetic codes: Zipf-like latents, 32 a row at most, values of a rounded gamma distribution."""
    rng = np.random.default_rng(0)
    share = 1 / (np.arange(N_LATENTS) + 20.0) ** 0.8
    edges = np.cumsum(share / share.sum())
    for start in range(0, n_rows, CHUNK):
        n = min(CHUNK, n_rows - start)
        drawn = np.sort(np.searchsorted(edges, rng.random((n, ACTIVE))).clip(max=N_LATENTS - 1), axis=1)
        fresh = np.ones(drawn.shape, dtype=bool)
        fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        indptr = np.concatenate([[0], np.cumsum(fresh.sum(axis=1))])
        values = rng.gamma(2.0, 1.0, int(indptr[-1])).astype(np.float32) + 0.05
        yield CodeBlock(indptr.astype(np.int64), drawn[fresh].astype(np.int32), values)


def build(folder: Path, n_rows: int) -> None:
    """Write a store of `n_rows` rows with one prompt label."""
    header = StoreHeader(
        columns=(CodeColumn(address=Address.parse("resid_post.6"), dictionary="sae", width=N_LATENTS),),
        labels=(LabelField(name="topic", type="boolean"),),
    )
    n_prompts = -(-n_rows // PROMPT_TOKENS)
    start = 0
    with StoreWriter(folder, header, shard_rows=1 << 20) as writer:
        for block in code_chunks(n_rows):
            index = np.arange(start, start + len(block.indptr) - 1)
            rows = {"prompt": index // PROMPT_TOKENS, "position": index % PROMPT_TOKENS, "token": ["a"] * index.size}
            writer.add(RowBlock(rows=rows, columns={KEY: block}))
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
    units = np.arange(N_LATENTS)
    target = find_targets(rows, ["label:topic"], max_values=20).usable[0]
    codes = view.store.codes(KEY)
    latents = np.random.default_rng(2).integers(0, N_LATENTS, 2000)
    for latent in latents[:50]:
        codes.latent(int(latent), TOP)
    each = np.array([timed(lambda latent=latent: codes.latent(int(latent), TOP)).seconds for latent in latents]) * 1e3
    contexts = {"kind": "contexts", "column": KEY, "unit": 100}
    request = QueryRequest.model_validate({"store": view.name, "query": contexts, "limit": TOP})
    question = timed(lambda: query_activations(request, settings=settings, publish=lambda result, _: result), 5)
    auroc = timed(lambda: every_auroc(rows, target), 2)
    tested = timed(lambda: run_tests(rows, KEY, units, [target]))
    alone = timed(lambda: every_d(rows, target), 2)
    moments = timed(lambda: unit_moments(rows, KEY, units, fires_above=0.0), 2)
    return {
        "top_p50_ms": float(np.median(each)),
        "top_p99_ms": float(np.quantile(each, 0.99)),
        "contexts_question_ms": question.seconds * 1e3,
        "auroc_s": auroc.seconds,
        "cohen_d_s": alone.seconds,
        "associate_s": tested.seconds,
        "moments_s": moments.seconds,
        "_top": ranked_rows(rows, UnitRef(KEY, 100)),
        "_auroc": auroc.value,
        "_d": tested.value.found[0].d,
        "_d_alone": alone.value,
        "_label": target.values.astype(bool),
    }


def every_auroc(rows: RowSet, target: Any) -> np.ndarray:
    """Return the exact AUROC of every latent with one label."""
    return np.concatenate(
        [auroc_of(block, target) for _, (block,) in unit_blocks([Source(rows, KEY)], np.arange(N_LATENTS))]
    )


def every_d(rows: RowSet, target: Any) -> np.ndarray:
    """Return Cohen's d of every latent with one label, and nothing else."""
    blocks = unit_blocks([Source(rows, KEY)], np.arange(N_LATENTS))
    return np.concatenate([cohen_d_of(block, target) for _, (block,) in blocks])


def entries(view: StoreView) -> Iterator[tuple[int, CodeBlock]]:
    """Yield the stored codes: peers hold the very same rounded numbers."""
    return view.store.codes(KEY).chunks(CHUNK)


def jsonl(view: StoreView, folder: Path, label: np.ndarray) -> dict[str, Any]:
    """Return times of scans over one JSON object per row."""
    path = folder / "codes.jsonl"
    with path.open("w") as file:
        for start, block in entries(view):
            for row in range(len(block.indptr) - 1):
                part = slice(int(block.indptr[row]), int(block.indptr[row + 1]))
                codes = {"latents": block.latents[part].tolist(), "values": block.values[part].tolist()}
                file.write(json.dumps({"row": start + row, **codes}) + "\n")

    def top() -> list[float]:
        found: list[float] = []
        with path.open() as file:
            for line in file:
                record = json.loads(line)
                if 100 in record["latents"]:
                    found.append(record["values"][record["latents"].index(100)])
        return sorted(found, reverse=True)[:TOP]

    def d() -> np.ndarray:
        sums = np.zeros((2, 2, N_LATENTS))
        with path.open() as file:
            for line in file:
                record = json.loads(line)
                latents, values = np.array(record["latents"]), np.array(record["values"])
                side = int(label[record["row"]])
                sums[side, 0, latents] += values
                sums[side, 1, latents] += values**2
        return cohen_d(sums, label)

    return {"top": timed(top), "d": timed(d), "bytes": path.stat().st_size}


def sqlite(view: StoreView, folder: Path, label: np.ndarray) -> dict[str, Any]:
    """Return times of one indexed row per stored value, the layout of Interlatent without its text columns."""
    database = sqlite3.connect(folder / "codes.sqlite")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TABLE codes (latent INT, row INT, value REAL)")
    database.execute("CREATE TABLE labels (row INTEGER PRIMARY KEY, topic INT)")
    database.executemany("INSERT INTO labels VALUES (?, ?)", enumerate(label.astype(int).tolist()))
    for start, block in entries(view):
        owner = start + np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
        values = zip(block.latents.tolist(), owner.tolist(), block.values.tolist(), strict=True)
        database.executemany("INSERT INTO codes VALUES (?, ?, ?)", values)
    database.execute("CREATE INDEX by_latent ON codes (latent, value DESC, row)")
    database.commit()
    found = sql_answers(lambda text: database.execute(text).fetchall(), label)
    database.close()
    return {**found, "bytes": (folder / "codes.sqlite").stat().st_size}


def duckdb(view: StoreView, folder: Path, label: np.ndarray) -> dict[str, Any] | None:
    """Return times of a DuckDB table sorted by latent, or None where it is not installed."""
    try:
        import duckdb as module  # lazy: not a dependency of the project
    except ImportError:
        return None
    import pyarrow as pa  # lazy: only to hand the columns over

    parts = [(start + np.repeat(np.arange(len(b.indptr) - 1), np.diff(b.indptr)), b) for start, b in entries(view)]
    whole = pa.table(
        {
            "latent": np.concatenate([b.latents for _, b in parts]),
            "row": np.concatenate([owner for owner, _ in parts]),
            "value": np.concatenate([b.values for _, b in parts]),
        }
    )
    topics = pa.table({"row": np.arange(label.size), "topic": label.astype(int)})
    database = module.connect(str(folder / "codes.duckdb"))
    database.execute("SET threads TO 1")
    database.register("whole", whole)
    database.register("topics", topics)
    database.execute("CREATE TABLE codes AS SELECT * FROM whole ORDER BY latent, value DESC")
    database.execute("CREATE TABLE labels AS SELECT * FROM topics")
    found = sql_answers(lambda text: database.execute(text).fetchall(), label)
    database.close()
    return {**found, "bytes": (folder / "codes.duckdb").stat().st_size}


def sql_answers(ask: Callable[[str], list[Any]], label: np.ndarray) -> dict[str, Any]:
    """Return the two answers of an SQL peer."""
    top = timed(
        lambda: [v for (v,) in ask(f"SELECT value FROM codes WHERE latent = 100 ORDER BY value DESC LIMIT {TOP}")], 5
    )

    def d() -> np.ndarray:
        sums = np.zeros((2, 2, N_LATENTS))
        question = (
            "SELECT latent, topic, sum(CAST(value AS DOUBLE)), sum(CAST(value AS DOUBLE) * value) "
            "FROM codes JOIN labels USING (row) GROUP BY latent, topic"
        )
        for latent, side, total, squares in ask(question):
            sums[side, :, latent] = total, squares
        return cohen_d(sums, label)

    return {"top": top, "d": timed(d)}


def cohen_d(sums: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return Cohen's d from sums `(side, power, latent)`."""
    sizes = np.array([np.count_nonzero(~label), np.count_nonzero(label)], dtype=np.float64)[:, None]
    means = sums[:, 0] / sizes
    within = (sums[:, 1] - sizes * means**2).sum(axis=0) / (label.size - 2)
    return np.divide(means[1] - means[0], np.sqrt(within), out=np.zeros(N_LATENTS), where=within > 0)


def check(name: str, peer: dict[str, Any], mine: dict[str, Any]) -> None:
    """Stop if a peer's answers are not ours."""
    np.testing.assert_allclose(peer["top"].value, mine["_top"].values[:TOP], rtol=1e-6, err_msg=f"{name}: top contexts")
    np.testing.assert_allclose(mine["_d_alone"], mine["_d"], err_msg="Cohen's d, alone and with its intervals")
    np.testing.assert_allclose(peer["d"].value, mine["_d"], rtol=1e-4, atol=1e-7, err_msg=f"{name}: Cohen's d")


def compare(n_rows: int, folder: Path) -> dict[str, Any]:
    """Return times of ours and of every peer on a store of `n_rows` rows."""
    settings = Settings(workspace=folder)
    build(folder / "small", n_rows)
    view = open_view("small", settings)
    mine = ours(view, settings)
    label = mine["_label"]
    for latent in (0, 100, 5000):
        column = view.store.codes(KEY).units([latent])[:, 0]
        np.testing.assert_allclose(mine["_auroc"][latent], roc_auc_score(label, column), rtol=1e-9)
    sklearn = timed(lambda: roc_auc_score(label, view.store.codes(KEY).units([100])[:, 0]))
    peers = {
        "jsonl": jsonl(view, folder, label),
        "sqlite": sqlite(view, folder, label),
        "duckdb": duckdb(view, folder, label),
    }
    shown: dict[str, Any] = {"rows": n_rows, "ours": public(mine), "sklearn_auroc_one_latent_s": sklearn.seconds}
    for name, peer in peers.items():
        if peer is None:
            print(f"{name}: not installed, left out (pip install {name})")
            continue
        check(name, peer, mine)
        shown[name] = {"top_ms": peer["top"].seconds * 1e3, "cohen_d_s": peer["d"].seconds, "bytes": peer["bytes"]}
        shown[name]["top_ratio"] = shown[name]["top_ms"] / mine["top_p50_ms"]
        shown[name]["cohen_d_ratio"] = shown[name]["cohen_d_s"] / mine["cohen_d_s"]
    shown["ours"]["bytes"] = sum(file.stat().st_size for file in (folder / "small").iterdir())
    return shown


def public(mine: dict[str, Any]) -> dict[str, Any]:
    """Return the figures without the arrays."""
    return {name: value for name, value in mine.items() if not name.startswith("_")}


def main() -> int:
    """Return 0; print figures, targets and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=50_000)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        equal = compare(parsed.peer_rows, folder)
        build(folder / "large", parsed.rows)
        settings = Settings(workspace=folder)
        large = public(ours(open_view("large", settings), settings))
    print(f"at {parsed.peer_rows} rows, every answer equal:")
    for peer in ("ours", "jsonl", "sqlite", "duckdb"):
        print(f"  {peer}: {equal.get(peer)}")
    print(f"at {parsed.rows} rows x {N_LATENTS} latents: {large}")
    print(
        f"targets: top-{TOP} <= {TARGETS['top_ms']} ms (p99 {large['top_p99_ms']:.3f}), AUROC of all latents <= "
        f"{TARGETS['auroc_s']} s ({large['auroc_s']:.2f}), statistics >= {TARGETS['over_jsonl']:.0f}x JSONL "
        f"({equal['jsonl']['cohen_d_ratio']:.0f}x for Cohen's d, {equal['jsonl']['top_ratio']:.0f}x for top contexts)"
    )
    print(json.dumps({"equal_size": equal, "large": {"rows": parsed.rows, **large}, "targets": TARGETS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
