"""Imports go through files row by row: what stays in memory does not grow with the cells of the rows."""

from __future__ import annotations

import gc
import io
import json
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from interp_lab.bridges.interlatent import read_interlatent
from interp_lab.bridges.saelens_cache import read_saelens, write_saelens
from interp_lab.contracts.store import DenseColumn, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.interchange import incoming as interchange
from interp_lab.store.interchange.array_stream import open_arrays
from interp_lab.store.interchange.arrays import read_arrays
from interp_lab.store.interchange.incoming import Incoming
from interp_lab.store.interchange.label_table import read_label_table
from interp_lab.store.interchange.records import read_records
from interp_lab.store.reader import open_store
from interp_lab.store.writer import StoreWriter

BLOCK, LEAST = 256, 1024
"""Rows of a block here, and of the smaller file: some blocks, so that a larger file needs no more at once."""
BYTES_PER_ROW = 64
"""Where a row stands, and sorting that: a single cell kept as a Python object would be more."""
WIDTH = 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interchange, "BLOCK_ROWS", BLOCK)


def csv_rows(n_rows: int) -> bytes:
    lines = (
        f"p{row * 4 // n_rows},{row},tok{row},{row % 997},{row}.5,label {row % 89},{row}\n" for row in range(n_rows)
    )
    return ("prompt,position,token,token_id,metric:depth,topic,count\n" + "".join(lines)).encode()


def numpy_with_labels(folder: Path, n_rows: int) -> Callable[[], Iterator[Incoming]]:
    array, table = folder / f"{n_rows}.npy", folder / f"{n_rows}.csv"
    np.save(array, np.zeros((n_rows, WIDTH), np.float32))
    table.write_bytes(csv_rows(n_rows))

    def read() -> Iterator[Incoming]:
        with table.open("rb") as labels, array.open("rb") as file, open_arrays(file, where="a") as arrays:
            said = read_label_table(labels, where="t")
            yield read_arrays(arrays, name="a", address=Address("resid_post", 1), labels=said)

    return read


def records(folder: Path, n_rows: int) -> Callable[[], Iterator[Incoming]]:
    path = folder / f"{n_rows}.jsonl"
    with path.open("w") as file:
        for row in range(n_rows):
            prompt, place = row * 4 // n_rows, row
            text = f"text {prompt} | token[{place}]={f'tok{row}'!r}"
            features = {f"L1:D{unit}": row / 7 for unit in range(WIDTH)}
            said = {"prompt_id": f"p{prompt}:tok{place}", "text": text, "criterion_score": 1.0, "features": features}
            file.write(json.dumps({"model": "m", **said}) + "\n")

    def read() -> Iterator[Incoming]:
        with path.open("rb") as file:
            yield read_records(file, name="r")

    return read


def interlatent(folder: Path, n_rows: int) -> Callable[[], Iterator[Incoming]]:
    path = folder / f"{n_rows}.db"
    columns = "run_id, step, layer, channel, prompt, prompt_index, token_index, token, tensor, timestamp, context"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE activations ({columns}, PRIMARY KEY (run_id, step, layer, channel))")
        context = json.dumps({"metrics": {"a": 1.0}, "prompt_label": "x"})
        connection.executemany(
            f"INSERT INTO activations VALUES ({', '.join('?' * 11)})",
            (
                ("r", row, "llm.layer.1", c, "text", row * 4 // n_rows, row, f"tok{row}", f"[{row}.5]", "", context)
                for row in range(n_rows)
                for c in range(2)
            ),
        )

    def read() -> Iterator[Incoming]:
        yield read_interlatent(path, name="i")

    return read


def saelens(folder: Path, n_rows: int) -> Callable[[], Iterator[Incoming]]:
    header = StoreHeader(columns=(DenseColumn(address=Address("resid_post", 1), width=WIDTH, dtype="float32"),))
    with StoreWriter(folder / f"s{n_rows}", header) as writer:
        at = np.arange(n_rows)
        rows = {"prompt": at * 4 // n_rows, "position": at % (n_rows // 4), "token_id": at}
        writer.add(RowBlock(rows, {"resid_post.1": np.zeros((n_rows, WIDTH), np.float32)}))
        writer.finish({"id": list("abcd"), "text": list("abcd"), "group": range(4)})
    (folder / f"c{n_rows}").mkdir()
    store = open_store(folder / f"s{n_rows}")
    write_saelens(store, lambda name: folder / f"c{n_rows}" / name, keys=store.keys, context_size=n_rows // 4)

    def read() -> Iterator[Incoming]:
        yield read_saelens(sorted((folder / f"c{n_rows}").iterdir()), name="c")

    return read


def peak(read: Callable[[], Iterator[Incoming]]) -> int:
    """Most memory that Python and numpy held while every block of a file was read and let go."""
    gc.collect()
    tracemalloc.start()
    try:
        for incoming in read():
            assert sum(len(block.rows["prompt"]) for block in incoming.blocks) > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [numpy_with_labels, records, interlatent, saelens], ids=lambda make: make.__name__)
def test_what_an_import_holds_grows_by_where_a_row_stands_and_not_by_what_it_says(
    tmp_path: Path, make: Callable[[Path, int], Callable[[], Iterator[Incoming]]]
) -> None:
    few, many = (peak(make(tmp_path, n_rows)) for n_rows in (LEAST, 3 * LEAST))
    assert many - few <= 2 * LEAST * BYTES_PER_ROW


def test_the_measure_sees_a_reader_that_keeps_the_cells(tmp_path: Path) -> None:
    def kept(n_rows: int) -> Callable[[], Iterator[Incoming]]:
        def read() -> Iterator[Incoming]:
            cells = [line.split(",") for line in io.BytesIO(csv_rows(n_rows)).read().decode().splitlines()]
            yield from numpy_with_labels(tmp_path, n_rows)()
            assert len(cells) == n_rows + 1

        return read

    few, many = (peak(kept(n_rows)) for n_rows in (LEAST, 3 * LEAST))
    assert many - few > 2 * LEAST * BYTES_PER_ROW
