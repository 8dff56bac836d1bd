"""Whatever the layout on disk, a store answers like the arrays that went into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from interp_lab.contracts.store import CodeColumn, DenseColumn, StoreDtype, StoreHeader
from interp_lab.points import Address
from interp_lab.store import postings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.store.writer import StoreWriter

KEY, CODES = "mlp_out.0", "mlp_out.0/topk"
TORCH = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class Case(NamedTuple):
    """A store and what it must hold, rounded by torch."""

    store: ActivationStore
    dense: Any
    codes: Any


def write(folder: Path, dtype: StoreDtype, shape: tuple[int, int, int], *, shard_rows: int, seed: int = 0) -> Case:
    n_rows, width, n_latents = shape
    rng = np.random.default_rng(seed)
    dense = (rng.standard_normal((n_rows, width)) * 100).astype(np.float32)
    strengths = np.round(rng.standard_normal((n_rows, n_latents)) * 3, 1)
    codes = np.where(rng.random((n_rows, n_latents)) < 0.15, strengths, 0).astype(np.float32)
    columns = (
        DenseColumn(address=Address("mlp_out", 0), width=width, dtype=dtype),
        CodeColumn(address=Address("mlp_out", 0), dictionary="topk", width=n_latents, dtype=dtype),
    )
    with StoreWriter(folder, StoreHeader(columns=columns), shard_rows=shard_rows) as writer:
        writer.add(
            RowBlock({"prompt": np.zeros(n_rows, int), "position": np.arange(n_rows)}, {KEY: dense, CODES: codes})
        )
        writer.finish({"id": ["a"], "text": ["x"], "group": [0]})
    rounded = [torch.from_numpy(values).to(TORCH[dtype]).float().numpy() for values in (dense, codes)]
    return Case(open_store(folder), *rounded)


@pytest.fixture(params=[("bfloat16", 1000), ("float16", 64), ("float32", 64)], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    dtype, shard_rows = request.param
    return write(tmp_path / "store", dtype, (300, 7, 40), shard_rows=shard_rows)


def test_dense_reads_equal_the_array_rounded_by_torch(case: Case) -> None:
    reader = case.store.dense(KEY)
    wanted = np.random.default_rng(1).integers(0, 300, 500)
    np.testing.assert_array_equal(reader.take(wanted), case.dense[wanted])
    np.testing.assert_array_equal(reader.slice(60, 210), case.dense[60:210])
    np.testing.assert_array_equal(reader.units([6, 0, 6]), case.dense[:, [6, 0, 6]])
    assert reader.take([]).shape == reader.slice(9, 9).shape == (0, 7)
    chunks = list(reader.chunks(50))
    assert [start for start, _ in chunks] == list(np.cumsum([0, *(len(block) for _, block in chunks)])[:-1])
    np.testing.assert_array_equal(np.concatenate([block for _, block in chunks]), case.dense)


def test_codes_read_by_row_equal_the_array(case: Case) -> None:
    reader = case.store.codes(CODES)
    for start, stop in ((0, 300), (63, 65), (10, 10), (128, 256)):
        block = reader.row_block(start, stop)
        back = np.zeros((stop - start, 40), np.float32)
        back[np.repeat(np.arange(stop - start), np.diff(block.indptr)), block.latents] = block.values
        np.testing.assert_array_equal(back, case.codes[start:stop])
    assert sum(len(block.values) for _, block in reader.chunks(33)) == reader.n_active == np.count_nonzero(case.codes)


def test_every_latent_lists_its_rows_by_falling_value_and_then_by_row(case: Case) -> None:
    reader = case.store.codes(CODES)
    run = reader.latents(0, 40)
    np.testing.assert_array_equal(reader.counts, np.count_nonzero(case.codes, axis=0))
    for latent in range(40):
        rows = np.flatnonzero(case.codes[:, latent])
        order = np.lexsort((rows, -case.codes[rows, latent]))
        found = reader.latent(latent)
        np.testing.assert_array_equal(found.rows, rows[order])
        np.testing.assert_array_equal(found.values, case.codes[rows[order], latent])
        assert reader.latent(latent, 3).rows.tolist() == rows[order][:3].tolist()
        entries = slice(run.offsets[latent], run.offsets[latent + 1])
        np.testing.assert_array_equal(run.rows[entries], found.rows)
        np.testing.assert_array_equal(run.values[entries], found.values)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_little_memory_and_many_parts_give_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: StoreDtype
) -> None:
    whole = write(tmp_path / "whole", dtype, (300, 1, 600), shard_rows=64)
    monkeypatch.setattr(postings, "ENTRIES_PER_SORT", 3000)
    monkeypatch.setattr(postings, "_ENTRIES_PER_READ", 500)
    frugal = write(tmp_path / "frugal", dtype, (300, 1, 600), shard_rows=64)
    assert frugal.store.manifest == whole.store.manifest
    monkeypatch.setattr(postings, "PART_ROWS", 128)
    parted = write(tmp_path / "parted", dtype, (300, 1, 600), shard_rows=64)
    assert len(parted.store.manifest.postings[CODES]) == 3
    one, many = whole.store.codes(CODES), parted.store.codes(CODES)
    for latent in range(0, 600, 37):
        for mine, theirs in zip(one.latent(latent, 20), many.latent(latent, 20), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(one.latents(100, 333), many.latents(100, 333), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(one.counts, many.counts)


def test_stores_of_many_latents_and_rows_keep_their_third_byte(tmp_path: Path) -> None:
    n_rows, latent = 70_000, 70_001
    columns = (CodeColumn(address=Address("mlp_out", 0), dictionary="topk", width=latent + 1),)
    codes = {CODES: _one_latent(n_rows, latent)}
    with StoreWriter(tmp_path / "store", StoreHeader(columns=columns)) as writer:
        writer.add(RowBlock({"prompt": np.zeros(n_rows, int), "position": np.arange(n_rows)}, codes))
        writer.finish({"id": ["a"], "text": ["x"], "group": [0]})
    reader = open_store(tmp_path / "store").codes(CODES)
    assert reader.latent(latent, 2).rows.tolist() == [69_999, 65_536]
    assert reader.row_block(65_536, 65_537).latents.tolist() == [latent]
    assert reader.latent(latent - 65_536).rows.size == 0


def _one_latent(n_rows: int, latent: int) -> Any:
    from interp_lab.store.blocks import CodeBlock

    values = np.ones(n_rows, np.float32)
    values[[69_999, 65_536]] = 3, 2
    return CodeBlock(np.arange(n_rows + 1), np.full(n_rows, latent), values)


def test_the_safetensors_library_reads_the_same_tensors(case: Case) -> None:
    name = case.store.manifest.shards[0].columns[KEY].name
    with safe_open(case.store.path_of(name), framework="pt") as file:
        tensor = file.get_tensor("values")
    assert tensor.dtype == TORCH[case.store.dense(KEY).column.dtype]
    np.testing.assert_array_equal(tensor.float().numpy(), case.dense[: len(tensor)])
    for part in case.store.manifest.postings[CODES]:
        with safe_open(case.store.path_of(part.file.name), framework="pt") as file:
            assert file.get_tensor("offsets")[-1] == part.n_active


@settings(deadline=None, max_examples=12)
@given(data=st.data(), n_rows=st.integers(1, 900), seed=st.integers(0, 5))
def test_batches_are_a_permutation_of_the_wanted_rows_for_any_sizes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, n_rows: int, seed: int
) -> None:
    case = write(tmp_path_factory.mktemp("batches") / "s", "float32", (n_rows, 1, 2), shard_rows=250)
    batch, buffer = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 1200))
    where = np.random.default_rng(seed).random(n_rows) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    make: Callable[[], list[Any]] = lambda: [  # noqa: E731
        b[KEY] for b in case.store.batches([KEY], batch, seed=seed, where=where, buffer_rows=buffer)
    ]
    batches = make()
    seen = np.concatenate([np.empty((0, 1), np.float32), *batches])
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(case.dense[where], axis=0))
    assert all(len(b) == batch for b in batches[:-1])
    assert all(np.array_equal(a, b) for a, b in zip(batches, make(), strict=True))
