"""Counting the codes of scattered rows gives what counting in a dense table gives, however the rows lie."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.contracts.store import CodeColumn, StoreHeader
from interp_lab.points import Address
from interp_lab.store import gather
from interp_lab.store.blocks import RowBlock
from interp_lab.store.gather import RowGather
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.store.writer import StoreWriter

N, WIDTH, KEY = 500, 40, "resid_post.0/sae"


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.where(rng.random((N, WIDTH)) < 0.1, rng.random((N, WIDTH)) + 0.5, 0).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, table: np.ndarray) -> ActivationStore:
    folder = tmp_path_factory.mktemp("gather") / "store"
    header = StoreHeader(columns=(CodeColumn(address=Address.parse("resid_post.0"), dictionary="sae", width=WIDTH),))
    with StoreWriter(folder, header, shard_rows=128) as writer:
        rows = {"prompt": np.arange(N) // 10, "position": np.arange(N) % 10}
        writer.add(RowBlock(rows=rows, columns={KEY: table}))
        writer.finish({"id": [str(i) for i in range(50)], "text": ["t"] * 50, "group": np.arange(50)})
    return open_store(folder)


CASES = {
    "none": np.arange(0),
    "one": np.array([499]),
    "all": np.arange(N),
    "scattered": np.arange(0, N, 7),
    "runs": np.concatenate([np.arange(10, 60), np.arange(100, 300), np.arange(480, 500)]),
    "across shards": np.arange(120, 140),
}


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("small", [False, True])
def test_counts_equal_a_dense_table(
    store: ActivationStore, table: np.ndarray, rows: np.ndarray, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        monkeypatch.setattr(gather, "_ENTRIES_AT_ONCE", 50)
        monkeypatch.setattr(gather, "_ROWS_AT_ONCE", 9)
        monkeypatch.setattr(gather, "_PIECES", 2)
    counts = RowGather(store, KEY).counts(rows)
    np.testing.assert_array_equal(counts, (table[rows] != 0).sum(axis=0))
