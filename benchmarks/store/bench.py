"""Measure the activation store beside the layouts that other tools write, on the same numbers in one run.

`python benchmarks/store/bench.py` prints the figures and keeps them in `benchmarks/results/store.json`; the last line
is one JSON object. Everything is measured in CPU seconds of this process with one thread, so that a busy machine or
disk does not decide; ratios are medians over rounds, and in each round every layout is written anew.

- 'arrow cache' is what sae-lens does with a buffer; bare 'arrow' is that library's writer fed with numpy blocks, the
  least that the format costs: it hashes and checks nothing, so it may well be faster than a store.
- JSON Lines (a record per token, as the peer's activation records) and SQLite (a row per scalar, as Interlatent) write
  the first rows only: their cost per row is constant.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from interp_lab.contracts.store import CodeColumn, DenseColumn, StoreDtype, StoreHeader, StoreManifest
from interp_lab.points import Address
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.reader import open_store
from interp_lab.store.writer import StoreWriter

RESULTS = Path(__file__).resolve().parents[1] / "results" / "store.json"
ROUNDS = 3
N_ROWS, WIDTH, STEP = 131_072, 512, 4096
JSONL_ROWS, SQLITE_ROWS = 1024, 256
BATCH, DRAWS = 4096, 9
N_TOKENS, K, N_LATENTS = 1_000_000, 32, 16_384
ADDRESS = Address("resid_post", 2)
KEY, CODES = "resid_post.2", "resid_post.2/sae"
CONTEXT = 128
TARGETS = {
    "write/jsonl": 70.0,
    "write/arrow_cache": 5.0,
    "random_batch/arrow": 100.0,
}
MOST = {"bytes_per_bfloat16": 2.0, "bytes_per_active_latent": 10.0, "latent_ms": 0.1, "top_20_ms_p99": 0.1}


class Measured(NamedTuple):
    """What writing cost."""

    cpu_s_per_row: float
    bytes_per_scalar: float


def cpu(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of a call and its value."""
    start = time.process_time()
    value = action()
    return time.process_time() - start, value


def batches(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows with their numbers, as a model would hand them over."""
    for start in range(0, len(values), STEP):
        block = values[start : start + STEP]
        yield np.arange(start, start + len(block)), block


def write_store(folder: Path, values: np.ndarray, dtype: StoreDtype) -> StoreManifest:
    """Write a store of the dense values."""
    header = StoreHeader(columns=(DenseColumn(address=ADDRESS, width=WIDTH, dtype=dtype),))
    with StoreWriter(folder, header) as writer:
        for rows, block in batches(values):
            table = {"prompt": rows // CONTEXT, "position": rows % CONTEXT, "token_id": rows}
            writer.add(RowBlock(table, {KEY: block}))
        return writer.finish(prompt_columns(len(values) // CONTEXT))


def prompt_columns(n: int) -> Mapping[str, Any]:
    """Return the prompt table of `n` prompts."""
    return {"id": [f"p{i}" for i in range(n)], "text": ["…"] * n, "group": np.arange(n)}


def write_jsonl(path: Path, values: np.ndarray) -> None:
    """Write one activation record per token, as the peer does."""
    with path.open("w", encoding="utf-8") as file:
        for row, vector in enumerate(values.tolist()):
            features = {f"{KEY}:{unit}": round(value, 6) for unit, value in enumerate(vector)}
            name = f"p{row // CONTEXT}:tok{row % CONTEXT}"
            record = {"model": "m", "prompt_id": name, "text": "…", "criterion_score": 0.0, "features": features}
            file.write(json.dumps(record, sort_keys=True) + "\n")


def write_sqlite(path: Path, values: np.ndarray) -> None:
    """Write one row per scalar, as Interlatent does."""
    columns = "run_id TEXT, step INT, layer TEXT, channel INT, prompt TEXT, prompt_index INT, token_index INT"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            f"CREATE TABLE activations ({columns}, token TEXT, tensor TEXT, timestamp TEXT, context TEXT,"
            " PRIMARY KEY (run_id, step, layer, channel)) WITHOUT ROWID"
        )
        for row, vector in enumerate(values.tolist()):
            prompt, position = divmod(row, CONTEXT)
            context = json.dumps({"metrics": {}, "prompt": "…"})
            entries = (
                ("run", row, KEY, unit, "…", prompt, position, "t", json.dumps([value]), "2026-01-01T00:00:00", context)
                for unit, value in enumerate(vector)
            )
            connection.executemany("INSERT OR REPLACE INTO activations VALUES (?,?,?,?,?,?,?,?,?,?,?)", entries)
    connection.close()


def write_arrow(path: Path, values: np.ndarray, rows_per_record: int) -> None:
    """Write an Arrow file of Array2D records from numpy blocks: the least that the format costs."""
    from datasets import Array2D, Features
    from datasets.arrow_writer import ArrowWriter

    features = Features({"values": Array2D((rows_per_record, WIDTH), "float32")})
    with ArrowWriter(features=features, path=str(path)) as writer:
        for _, block in batches(values):
            writer.write_batch({"values": block.reshape(-1, rows_per_record, WIDTH)})
        writer.finalize()


def write_arrow_cache(folder: Path, values: np.ndarray) -> None:
    """Write an Arrow cache from one buffer of tensors, as sae-lens does."""
    import torch
    from datasets import Array2D, Dataset, Features

    features = Features({"values": Array2D((CONTEXT, WIDTH), "float32")})
    buffer = torch.from_numpy(values).reshape(-1, CONTEXT, WIDTH)
    Dataset.from_dict({"values": buffer}, features=features).save_to_disk(str(folder), num_shards=1)


def size(path: Path) -> int:
    """Return the bytes of a file, or of the files of a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.iterdir())


def one_round(folder: Path, values: np.ndarray) -> dict[str, Measured]:
    """Return what each layout costs to write, in one round."""
    writers: dict[str, tuple[int, Callable[[Path, np.ndarray], Any]]] = {
        "store bfloat16": (N_ROWS, lambda path, part: write_store(path, part, "bfloat16")),
        "store float32": (N_ROWS, lambda path, part: write_store(path, part, "float32")),
        "arrow": (N_ROWS, lambda path, part: write_arrow(path, part, 1)),
        "arrow contexts": (N_ROWS, lambda path, part: write_arrow(path, part, CONTEXT)),
        "arrow cache": (N_ROWS, write_arrow_cache),
        "jsonl": (JSONL_ROWS, write_jsonl),
        "sqlite": (SQLITE_ROWS, write_sqlite),
    }
    found: dict[str, Measured] = {}
    for name, (n_rows, write) in writers.items():
        path = folder / name.replace(" ", "-")
        seconds, _ = cpu(lambda path=path, write=write, n_rows=n_rows: write(path, values[:n_rows]))
        found[name] = Measured(seconds / n_rows, size(path) / (n_rows * WIDTH))
    return found


def read_batches(folder: Path) -> tuple[dict[str, float], bool]:
    """Return CPU milliseconds for 4,096 random rows by layout, and whether all layouts gave the same numbers."""
    from datasets import Dataset

    arrow = Dataset.from_file(str(folder / "arrow")).with_format("numpy")
    readers: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "store bfloat16": open_store(folder / "store-bfloat16").dense(KEY).take,
        "store float32": open_store(folder / "store-float32").dense(KEY).take,
        "arrow": lambda rows: np.asarray(arrow[rows]["values"]).reshape(len(rows), WIDTH),
    }
    rng = np.random.default_rng(1)
    times: dict[str, list[float]] = {name: [] for name in readers}
    equal = True
    for draw in range(DRAWS):
        rows = rng.integers(0, N_ROWS, BATCH)
        found: dict[str, np.ndarray] = {}
        for name, read in readers.items():
            seconds, found[name] = cpu(lambda read=read, rows=rows: read(rows))
            if draw:  # the first touch maps the files
                times[name].append(seconds * 1000)
        equal &= np.array_equal(found["arrow"], found["store float32"])
        equal &= np.allclose(found["arrow"], found["store bfloat16"], rtol=2**-8, atol=0)
    return {name: statistics.median(values) for name, values in times.items()}, equal


def same_as_written(folder: Path, values: np.ndarray) -> bool:
    """Return whether the text layouts hold the numbers that the store holds."""
    lines = (folder / "jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line)["features"] for line in lines]
    jsonl = np.array([[record[f"{KEY}:{unit}"] for unit in range(WIDTH)] for record in records])
    with sqlite3.connect(folder / "sqlite") as connection:
        query = "SELECT tensor FROM activations ORDER BY step, channel"
        sqlite = np.array([json.loads(tensor)[0] for (tensor,) in connection.execute(query)])
    connection.close()
    stored = open_store(folder / "store-float32").dense(KEY).slice(0, N_ROWS)
    return (
        np.array_equal(stored, values)
        and np.abs(jsonl - values[:JSONL_ROWS]).max() <= 1e-6
        and np.array_equal(sqlite.astype(np.float32), values[:SQLITE_ROWS].reshape(-1))
    )


def measure_codes(folder: Path) -> tuple[dict[str, float], bool]:
    """Return what 1 M tokens of codes cost in both layouts, and whether both hold the same codes."""
    rng = np.random.default_rng(2)
    spans = N_LATENTS // K
    first = np.arange(K, dtype=np.int32) * spans
    header = StoreHeader(columns=(CodeColumn(address=ADDRESS, dictionary="sae", width=N_LATENTS, dtype="float16"),))
    spent = 0.0
    with StoreWriter(folder, header) as writer:
        for start in range(0, N_TOKENS, STEP):
            n = min(STEP, N_TOKENS - start)
            latents = (rng.integers(0, spans, (n, K), dtype=np.int32) + first).reshape(-1)
            values = rng.standard_exponential(n * K, dtype=np.float32) + np.float32(0.01)
            rows = np.arange(start, start + n)
            block = RowBlock(
                {"prompt": rows // 128, "position": rows % 128},
                {CODES: CodeBlock(np.arange(n + 1) * K, latents, values)},
            )
            spent += cpu(lambda block=block: writer.add(block))[0]
        finishing, manifest = cpu(lambda: writer.finish(prompt_columns(-(-N_TOKENS // 128))))
    reader = open_store(folder).codes(CODES)
    chosen = rng.integers(0, N_LATENTS, 500).tolist()
    for latent in chosen:
        reader.latent(latent)
    times = [cpu(lambda latent=latent: reader.latent(latent))[0] * 1000 for latent in chosen]
    top = [cpu(lambda latent=latent: reader.latent(latent, 20))[0] * 1000 for latent in chosen]
    files = sum(file.bytes for file in manifest.files if file.name.endswith(".safetensors"))
    figures = {
        "tokens_per_cpu_s_row_major": N_TOKENS / spent,
        "tokens_per_cpu_s_latent_major": N_TOKENS / finishing,
        "bytes_per_active_latent": files / (N_TOKENS * K),
        "latent_ms": statistics.median(times),
        "latent_ms_p99": statistics.quantiles(times, n=100)[98],
        "top_20_ms_p99": statistics.quantiles(top, n=100)[98],
    }
    return figures, _layouts_agree(reader, chosen[:5])


def _layouts_agree(reader: Any, latents: list[int]) -> bool:
    wanted: dict[int, list[np.ndarray]] = {latent: [] for latent in latents}
    for start, block in reader.chunks(65_536):
        rows = np.repeat(np.arange(len(block.indptr) - 1) + start, np.diff(block.indptr))
        for latent in latents:
            here = block.latents == latent
            wanted[latent].append(np.stack([rows[here], block.values[here]]))
    return all(
        np.array_equal(
            np.stack(reader.latent(latent))[:, np.argsort(reader.latent(latent).rows)], np.concatenate(parts, 1)
        )
        for latent, parts in wanted.items()
    )


def main() -> int:
    """Return 0 if the targets are met and every layout holds the same numbers."""
    values = np.random.default_rng(0).standard_normal((N_ROWS, WIDTH), dtype=np.float32)
    rounds: list[dict[str, Measured]] = []
    reads: list[dict[str, float]] = []
    equal = True
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            rounds.append(one_round(folder, values))
            milliseconds, same = read_batches(folder)
            reads.append(milliseconds)
            equal &= same and (number > 0 or same_as_written(folder, values))
    with tempfile.TemporaryDirectory() as name:
        codes, same = measure_codes(Path(name) / "codes")
        equal &= same
    writing = {name: statistics.median(r[name].cpu_s_per_row for r in rounds) for name in rounds[0]}
    reading = {name: statistics.median(r[name] for r in reads) for name in reads[0]}
    per_scalar = {name: measured.bytes_per_scalar for name, measured in rounds[0].items()}
    for name, seconds in writing.items():
        random = f"{reading[name]:8.2f} ms for {BATCH} random rows" if name in reading else ""
        print(f"{name:15} {1 / seconds:10,.0f} rows/s  {per_scalar[name]:7.3f} B/scalar  {random}")
    print("codes          ", {name: round(value, 4) for name, value in codes.items()})
    ratios = {
        "write/jsonl": _ratio(rounds, "jsonl"),
        "write/sqlite": _ratio(rounds, "sqlite"),
        "write/arrow_cache": _ratio(rounds, "arrow cache"),
        "write_float32/arrow_cache": _ratio(rounds, "arrow cache", ours="store float32"),
        "write/bare_arrow": min(_ratio(rounds, "arrow"), _ratio(rounds, "arrow contexts")),
        "random_batch/arrow": statistics.median(r["arrow"] / r["store bfloat16"] for r in reads),
        "random_batch_float32/arrow": statistics.median(r["arrow"] / r["store float32"] for r in reads),
        "bytes/jsonl": per_scalar["jsonl"] / per_scalar["store bfloat16"],
        "bytes/sqlite": per_scalar["sqlite"] / per_scalar["store bfloat16"],
    }
    held = {"bytes_per_bfloat16": _dense_bytes(), **codes}
    met = all(ratios[name] >= least for name, least in TARGETS.items())
    met &= all(round(held[name], 3) <= most for name, most in MOST.items())
    figures = {"cpu_s_per_row": writing, "random_batch_ms": reading, "bytes_per_scalar": per_scalar, "codes": codes}
    report = {
        "bench": "store",
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
        "equal": bool(equal),
        "targets_met": met,
        "figures": figures,
        "machine": f"{os.cpu_count()} CPU cores, no GPU, {date.today()}",
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if met and equal else 1


def _ratio(rounds: list[dict[str, Measured]], peer: str, *, ours: str = "store bfloat16") -> float:
    return statistics.median(r[peer].cpu_s_per_row / r[ours].cpu_s_per_row for r in rounds)


def _dense_bytes() -> float:
    """Bytes of a full shard per bfloat16 value, the row table not counted."""
    with tempfile.TemporaryDirectory() as name:
        manifest = write_store(Path(name) / "store", np.zeros((65_536, WIDTH), np.float32), "bfloat16")
    return sum(shard.columns[KEY].bytes for shard in manifest.shards) / (65_536 * WIDTH)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
