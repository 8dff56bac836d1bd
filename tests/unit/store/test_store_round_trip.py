"""What was written is what is read: rounded once, in order, with every label and metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interp_lab.contracts.store import CodeColumn, DenseColumn, LabelField, MetricField, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.reader import open_store
from interp_lab.store.writer import StoreWriter

ADDRESS = Address("resid_post", 2)
N_ROWS, WIDTH, N_LATENTS = 1000, 8, 40


def test_a_store_gives_back_what_was_written_to_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((N_ROWS, WIDTH)).astype(np.float32)
    codes = np.where(rng.random((N_ROWS, N_LATENTS)) < 0.1, rng.random((N_ROWS, N_LATENTS)), 0).astype(np.float32)
    header = StoreHeader(
        columns=(
            DenseColumn(address=ADDRESS, width=WIDTH, dtype="float32"),
            CodeColumn(address=ADDRESS, dictionary="sae", width=N_LATENTS, dtype="float32"),
        ),
        metrics=(MetricField(name="loss", unit="nats"),),
        labels=(LabelField(name="topic", type="string"), LabelField(name="tag", type="category", scope="row")),
    )
    with StoreWriter(tmp_path / "store", header, shard_rows=300) as writer:
        for start in range(0, N_ROWS, 77):
            rows = np.arange(start, min(start + 77, N_ROWS))
            writer.add(
                RowBlock(
                    {
                        "prompt": rows // 10,
                        "position": rows % 10,
                        "token": [f"t{row}" for row in rows],
                        "metric:loss": np.where(rows % 10 == 0, np.nan, rows),
                        "label:tag": ["even" if row % 2 == 0 else None for row in rows],
                    },
                    {"resid_post.2": dense[rows], "resid_post.2/sae": codes[rows]},
                )
            )
        groups = [n // 2 for n in range(100)]
        writer.finish(
            {"id": [f"p{n}" for n in range(100)], "text": ["x"] * 100, "group": groups, "label:topic": ["a"] * 100}
        )
    store = open_store(tmp_path / "store")
    assert (store.n_rows, store.manifest.n_prompts, store.manifest.n_groups) == (N_ROWS, 100, 50)
    assert store.keys == ("resid_post.2", "resid_post.2/sae")
    wanted = rng.integers(0, N_ROWS, 200)
    np.testing.assert_array_equal(store.dense("resid_post.2").take(wanted), dense[wanted])
    np.testing.assert_array_equal(store.codes("resid_post.2/sae").units(range(N_LATENTS)), codes)
    table = store.rows(["token", "metric:loss", "label:tag"])
    assert table.column("token").to_pylist() == [f"t{row}" for row in range(N_ROWS)]
    assert table.column("metric:loss").to_pylist()[9:12] == [9.0, None, 11.0]
    assert table.column("label:tag").to_pylist()[:2] == ["even", None]
    assert store.prompts().column("label:topic").to_pylist() == ["a"] * 100


def test_batches_hold_every_wanted_row_once_and_keep_columns_aligned(tmp_path: Path) -> None:
    rows = np.arange(3000, dtype=np.float32)
    columns = (
        DenseColumn(address=ADDRESS, width=2, dtype="float32"),
        DenseColumn(address=Address("embed"), width=1, dtype="float32"),
    )
    with StoreWriter(tmp_path / "store", StoreHeader(columns=columns), shard_rows=700) as writer:
        values = {"resid_post.2": np.stack([rows, -rows], axis=1), "embed": rows[:, None] + 0.5}
        writer.add(RowBlock({"prompt": np.zeros(3000, int), "position": np.arange(3000)}, values))
        writer.finish({"id": ["a"], "text": ["x"], "group": [0]})
    store = open_store(tmp_path / "store")
    where = rows % 3 != 0
    batches = list(store.batches(store.keys, 64, seed=1, where=where, buffer_rows=512))
    seen = np.concatenate([batch["resid_post.2"][:, 0] for batch in batches])
    np.testing.assert_array_equal(np.sort(seen), rows[where])
    np.testing.assert_array_equal(np.concatenate([batch["embed"][:, 0] for batch in batches]), seen + 0.5)
    assert {len(batch["embed"]) for batch in batches[:-1]} == {64}
    assert not np.array_equal(seen, np.sort(seen))


@pytest.mark.parametrize(("seed", "epoch", "same"), [(1, 0, True), (2, 0, False), (1, 1, False)])
def test_the_order_of_batches_follows_from_seed_and_epoch(tmp_path: Path, seed: int, epoch: int, same: bool) -> None:
    header = StoreHeader(columns=(DenseColumn(address=ADDRESS, width=1, dtype="float32"),))
    with StoreWriter(tmp_path / "store", header) as writer:
        values = np.arange(2000, dtype=np.float32)[:, None]
        writer.add(RowBlock({"prompt": np.zeros(2000, int), "position": np.arange(2000)}, {"resid_post.2": values}))
        writer.finish({"id": ["a"], "text": ["x"], "group": [0]})
    store = open_store(tmp_path / "store")
    first, second = (
        np.concatenate([batch["resid_post.2"] for batch in store.batches(store.keys, 100, seed=s, epoch=e)])
        for s, e in ((1, 0), (seed, epoch))
    )
    assert np.array_equal(first, second) is same
