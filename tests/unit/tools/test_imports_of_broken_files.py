"""What no store can hold is refused in words that name the file, whichever format it came in."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from interp_lab.contracts.store_exchange import StoreImportRequest
from interp_lab.errors import DuplicateRows, MalformedFile, RaggedRows
from interp_lab.settings import Settings
from interp_lab.store.interchange.incoming import IncomingPrompt
from interp_lab.workflows.exchange import inputs
from interp_lab.workflows.exchange.inputs import independent_groups, open_source

WHOLE: dict[str, Any] = {"offsets": [0, 1], "latents": [0], "values": [1.0], "width": [4]}


def opened(folder: Path, source: Any) -> list[Any]:
    with open_source(StoreImportRequest(source=source), Settings(workspace=folder)) as incoming:
        return [block.columns for block in incoming.blocks]


def codes(path: Path, name: str = "x", **changes: Any) -> None:
    arrays: dict[str, Any] = {f"resid_post.1/{name}.{part}": np.array(v) for part, v in (WHOLE | changes).items()}
    np.savez(path, **arrays)


def test_the_same_file_without_a_fault_is_read(tmp_path: Path) -> None:
    codes(tmp_path / "a.npz")
    (columns,) = opened(tmp_path, "numpy:a.npz")
    assert columns["resid_post.1/x"].latents.tolist() == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"latents": [0.5]},
        {"width": [float("nan")]},
        {"width": [1, 2]},
        {"width": [0]},
        {"width": [2**30]},
        {"name": "bad name!"},
    ],
)
def test_codes_that_are_none_are_malformed(tmp_path: Path, changes: dict[str, Any]) -> None:
    codes(tmp_path / "a.npz", **changes)
    with pytest.raises(MalformedFile, match=r"a\.npz"):
        opened(tmp_path, "numpy:a.npz")


def test_codes_without_offsets_are_ragged(tmp_path: Path) -> None:
    codes(tmp_path / "a.npz", offsets=np.zeros(0, np.int64))
    with pytest.raises(RaggedRows):
        opened(tmp_path, "numpy:a.npz")


def test_a_position_that_a_prompt_has_twice_is_refused(tmp_path: Path) -> None:
    rows: dict[str, Any] = {"resid_post.1": np.ones((3, 2), np.float32), "prompt": np.array([0, 0, 1])}
    np.savez(tmp_path / "a.npz", **rows, position=np.array([0, 1, 0]))
    np.savez(tmp_path / "b.npz", **rows, position=np.array([0, 0, 0]))
    opened(tmp_path, "numpy:a.npz")
    with pytest.raises(DuplicateRows):
        opened(tmp_path, "numpy:b.npz")


def test_an_archive_that_promises_more_than_it_can_hold_is_malformed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("resid_post.1.npy", b"\x93NUMPY")
        archive.infolist()[0].file_size = 2**40
    with pytest.raises(MalformedFile, match="promises"):
        opened(tmp_path, "numpy:a.npz")


def test_a_cache_wider_than_any_dictionary_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    tensors = {"locations": np.zeros((1, 3), np.int64), "activations": np.ones(1, np.float32)}
    save_file(tensors | {"tokens": np.zeros((1, 4), np.int64)}, tmp_path / "cache" / "0_99999999.safetensors")
    with pytest.raises(MalformedFile, match="cache holds what no store can"):
        opened(tmp_path, {"kind": "delphi", "path": "cache", "address": "resid_post.1"})


def test_a_database_whose_pages_are_overwritten_is_malformed(tmp_path: Path) -> None:
    database = tmp_path / "i.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE activations (run_id, step INT, layer, tensor, PRIMARY KEY (run_id, step))")
        rows = [("r", step, "llm.layer.1", json.dumps([0.5] * 50)) for step in range(400)]
        connection.executemany("INSERT INTO activations VALUES (?, ?, ?, ?)", rows)
    connection.close()
    data = bytearray(database.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 60] = b"\xff" * 60
    database.write_bytes(bytes(data))
    with pytest.raises(MalformedFile, match="damaged"):
        opened(tmp_path, "interlatent:i.db")


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(inputs, "COMPARED_AT_ONCE", 2)


def test_equal_texts_of_different_groups_are_not_independent_however_many_there_are(many: Callable[[], None]) -> None:
    prompts = [
        IncomingPrompt("a", "The same words.", group="x"),
        IncomingPrompt("b", "the  same words.", group="y"),
        IncomingPrompt("c", "Quite another sentence.", group="y"),
        IncomingPrompt("d", ""),
        IncomingPrompt("e", ""),
    ]
    few = independent_groups(prompts)
    many()
    assert independent_groups(prompts) == few == [0, 0, 0, 1, 2]
