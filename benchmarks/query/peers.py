"""The same codes in other layouts, each asked the same two questions: the strongest rows of a latent, and Cohen's d."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from interp_lab.store.blocks import CodeBlock
from interp_lab.workflows.querying.view import StoreView

KEY = "resid_post.6/sae"
CHUNK, TOP = 1 << 16, 20


class Timed(NamedTuple):
    """What something gave and how long it took."""

    value: Any
    seconds: float


def timed(work: Callable[[], Any], runs: int = 1) -> Timed:
    """Return the last value and the least CPU time of some runs."""
    best, value = float("inf"), None
    for _ in range(runs):
        start = time.process_time()
        value = work()
        best = min(best, time.process_time() - start)
    return Timed(value, best)


def entries(view: StoreView) -> Iterator[tuple[int, CodeBlock]]:
    """Yield the stored codes: peers hold the very same rounded numbers."""
    return view.store.codes(KEY).chunks(CHUNK)


def jsonl(view: StoreView, folder: Path, label: np.ndarray) -> dict[str, Any]:
    """Return times of scans over one JSON object per row."""
    path, n_latents = folder / "codes.jsonl", view.column(KEY).width
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
        sums = np.zeros((2, 2, n_latents))
        with path.open() as file:
            for line in file:
                record = json.loads(line)
                latents, values = np.array(record["latents"]), np.array(record["values"])
                side = int(label[record["row"]])
                sums[side, 0, latents] += values
                sums[side, 1, latents] += values**2
        return cohen_d(sums, label)

    return {"top": timed(top), "d": timed(d), "bytes": path.stat().st_size, "_ask_d": d}


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
    found = sql_answers(lambda text: database.execute(text).fetchall(), label, view.column(KEY).width)
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
    found = sql_answers(lambda text: database.execute(text).fetchall(), label, view.column(KEY).width)
    database.close()
    return {**found, "bytes": (folder / "codes.duckdb").stat().st_size}


def sql_answers(ask: Callable[[str], list[Any]], label: np.ndarray, n_latents: int) -> dict[str, Any]:
    """Return the two answers of an SQL peer."""
    top = timed(
        lambda: [v for (v,) in ask(f"SELECT value FROM codes WHERE latent = 100 ORDER BY value DESC LIMIT {TOP}")], 5
    )

    def d() -> np.ndarray:
        sums = np.zeros((2, 2, n_latents))
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
    return np.divide(means[1] - means[0], np.sqrt(within), out=np.zeros(within.size), where=within > 0)


PEERS: dict[str, Callable[[StoreView, Path, np.ndarray], dict[str, Any] | None]] = {
    "jsonl": jsonl,
    "sqlite": sqlite,
    "duckdb": duckdb,
}
"""Layouts by name; one whose library is not installed gives None."""
