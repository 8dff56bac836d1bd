"""A damaged, foreign, unfinished or too new store is refused in words; nothing of it is served as numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.artifacts.tensor_header import check_safetensors_header
from interp_lab.errors import NotAStore, RowOutOfRange, StoreCorrupt, StoreTooNew, UnknownColumn
from interp_lab.store.reader import open_store
from interp_lab.store.tensor_file import write_tensors
from interp_lab.store.verify import verify

KEY, CODES = "resid_post.2", "resid_post.2/sae"


@pytest.fixture
def folder(tmp_path: Path, given: Callable) -> Path:
    return given().write(tmp_path / "store")


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "store.json").read_text())
    change(manifest)
    (folder / "store.json").write_text(json.dumps(manifest))


def test_a_store_as_it_was_written_has_no_problems(folder: Path) -> None:
    assert verify(folder) == ()


@pytest.mark.parametrize(
    "name", ["rows-00001.parquet", "prompts.parquet", "resid_post.2-00002.safetensors", "postings", "sae"]
)
def test_one_changed_byte_anywhere_is_found(folder: Path, name: str) -> None:
    path = next(path for path in sorted(folder.iterdir()) if name in path.name)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert verify(folder) == (f"{path.name} does not have the bytes that were written.",)


def test_a_missing_file_is_found_and_refused_when_it_is_read(folder: Path) -> None:
    (folder / "resid_post.2-00004.safetensors").unlink()
    assert "cannot be read" in verify(folder)[0]
    store = open_store(folder)
    assert store.dense(KEY).take([399]).shape == (1, 5)
    with pytest.raises(StoreCorrupt, match=r"resid_post\.2-00004"):
        store.dense(KEY).take([400])


def test_a_file_that_was_cut_off_is_refused(folder: Path) -> None:
    path = folder / "resid_post.2-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(StoreCorrupt, match=r"resid_post\.2-00000"):
        open_store(folder).dense(KEY).slice(0, 5)


def test_a_tensor_of_another_shape_is_refused_even_if_the_hash_was_forged(folder: Path) -> None:
    path = folder / "resid_post.2-00000.safetensors"
    write_tensors(path, {"values": np.zeros((100, 4), np.float32)}, {})
    with pytest.raises(StoreCorrupt, match=r"\[100, 4\]; the manifest promises values F32 \[100, 5\]"):
        open_store(folder).dense(KEY).slice(0, 5)


def test_offsets_that_point_outside_their_values_are_refused(folder: Path) -> None:
    path = next(
        path for path in folder.iterdir() if path.name.startswith("resid_post.2-sae") and "postings" not in path.name
    )
    start = {entry.name: entry for entry in check_safetensors_header(path)}["offsets"]
    data = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    data[header + start.end - 4 : header + start.end] = (10**6).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match="offsets"):
        open_store(folder).codes(CODES).row_block(0, 450)


CHANGES: dict[str, tuple[type[Exception], Callable[[dict[str, Any]], None]]] = {
    "not the manifest of an activation store": (NotAStore, lambda m: m.update(format="tax return")),
    "layout 2": (StoreTooNew, lambda m: m.update(schema_version=2)),
    "damaged: n_rows": (StoreCorrupt, lambda m: m.update(n_rows=-1)),
    "do not hold 451 rows": (StoreCorrupt, lambda m: m.update(n_rows=451)),
    "gap or overlap": (StoreCorrupt, lambda m: m["shards"].pop(1)),
    "does not have every column": (StoreCorrupt, lambda m: m["shards"][0]["columns"].pop(KEY)),
    "same name": (StoreCorrupt, lambda m: m["prompts"].update(name="ROWS-00000.parquet")),
    "String should match pattern": (StoreCorrupt, lambda m: m["prompts"].update(name="../../etc/passwd")),
    "latent-major copy": (StoreCorrupt, lambda m: m.update(postings={})),
    "Extra inputs": (StoreCorrupt, lambda m: m.update(surprise=1)),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_a_manifest_that_is_not_whole_is_refused_with_the_fault(folder: Path, fault: str) -> None:
    error, change = CHANGES[fault]
    edit(folder, change)
    with pytest.raises(error, match=fault):
        open_store(folder)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"a": NaN}', b"\xff\xfe"])
def test_a_manifest_that_is_not_json_is_refused(folder: Path, data: bytes) -> None:
    (folder / "store.json").write_bytes(data)
    with pytest.raises((StoreCorrupt, NotAStore)):
        open_store(folder)


def test_a_table_that_is_not_one_is_refused(folder: Path) -> None:
    (folder / "rows-00000.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(StoreCorrupt, match="rows-00000"):
        open_store(folder).rows(["prompt"])
    with pytest.raises(StoreCorrupt, match=r"rows-00001"):
        open_store(folder).rows(["no such column"], start=150, stop=160)


def test_what_is_not_there_is_refused_by_name(folder: Path) -> None:
    store = open_store(folder)
    with pytest.raises(UnknownColumn, match=r"resid_post\.2, resid_post\.2/sae"):
        store.dense("resid_post.3")
    with pytest.raises(UnknownColumn, match="codes, not dense"):
        store.dense(CODES)
    with pytest.raises(UnknownColumn, match="dense activations, not codes"):
        store.codes(KEY)
    with pytest.raises(UnknownColumn):
        store.batches([], 5, seed=0)


@pytest.mark.parametrize("rows", [[-1], [450], [0.5], [[0]]])
def test_rows_that_do_not_exist_are_refused(folder: Path, rows: Any) -> None:
    with pytest.raises(RowOutOfRange):
        open_store(folder).dense(KEY).take(rows)


def test_runs_units_and_latents_that_do_not_exist_are_refused(folder: Path) -> None:
    store = open_store(folder)
    calls: list[Callable[[], Any]] = [
        lambda: store.dense(KEY).slice(5, 451),
        lambda: store.dense(KEY).slice(6, 5),
        lambda: store.dense(KEY).units([5]),
        lambda: store.codes(CODES).row_block(-1, 4),
        lambda: store.codes(CODES).latent(30),
        lambda: store.codes(CODES).latents(0, 31),
        lambda: store.rows(start=440, stop=451),
    ]
    for call in calls:
        with pytest.raises(RowOutOfRange):
            call()
