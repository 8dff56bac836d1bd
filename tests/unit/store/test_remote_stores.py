"""Stores on an object store: the manifest comes last, every byte is checked, and no secret gets into a message."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pytest

from interp_lab import errors
from interp_lab.store.remote import open_remote_store, open_store_at, publish_store, shown_address
from tests.unit.store.interchange.stores import CODES, DENSE, codes, dense, make_store

URL = "memory://bucket/run"


@pytest.fixture(autouse=True)
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def names(memory: Any) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in memory.store)


@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_store_is_the_same_from_far_away(tmp_path: Path, place: str) -> None:
    store = make_store(tmp_path / "s")
    url = URL if place == "memory" else f"file://{tmp_path}/far"
    assert publish_store(tmp_path / "s", url) == store.manifest
    far = open_store_at(url, cache=tmp_path / "cache")
    assert far.manifest == store.manifest
    assert np.array_equal(dense(far), dense(store))
    assert np.array_equal(codes(far), codes(store))
    assert far.prompts().equals(store.prompts())
    assert far.rows().equals(store.rows())
    assert np.array_equal(dense(open_store_at(tmp_path / "s")), dense(store))


def test_only_what_is_read_is_fetched_and_only_once(tmp_path: Path, memory: Any) -> None:
    make_store(tmp_path / "s")
    publish_store(tmp_path / "s", URL)
    far = open_remote_store(URL, cache=tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    assert [path.name for path in folder.iterdir()] == ["store.json"]
    far.dense(DENSE).take([5])
    fetched = [path.name for path in folder.iterdir() if path.name != "store.json"]
    assert len(fetched) == 1
    for path in [path for path in memory.store if not path.endswith("store.json")]:
        del memory.store[path]
    again = open_remote_store(URL, cache=tmp_path / "cache")
    assert np.array_equal(again.dense(DENSE).take([5]), far.dense(DENSE).take([5]))
    with pytest.raises(errors.RemoteStoreFailed, match="FileNotFoundError"):
        again.codes(CODES).row_block(0, 1)


def test_a_changed_byte_is_never_served_and_never_kept(tmp_path: Path, memory: Any) -> None:
    make_store(tmp_path / "s")
    publish_store(tmp_path / "s", URL)
    for path in [path for path in memory.store if path.endswith((".safetensors", ".parquet"))]:
        data = bytearray(memory.cat_file(path))
        data[-1] ^= 1
        memory.pipe_file(path, bytes(data))
    far = open_remote_store(URL, cache=tmp_path / "cache")
    for read in (far.prompts, far.rows, lambda: dense(far), lambda: far.codes(CODES).row_block(0, 2)):
        with pytest.raises(errors.StoreCorrupt, match="does not have the bytes"):
            read()
    (folder,) = (tmp_path / "cache").iterdir()
    assert [path.name for path in folder.iterdir()] == ["store.json"]


def test_a_publication_that_is_cut_off_is_no_store_and_goes_on(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "s")
    sent: list[str] = []
    put = type(memory).put_file

    def failing(self: Any, source: str, target: str, **options: Any) -> None:
        if len(sent) == 3:
            raise ConnectionError("token=hunter2")
        sent.append(target)
        put(self, source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "put_file", failing)
        with pytest.raises(errors.RemoteStoreFailed) as caught:
            publish_store(tmp_path / "s", URL)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(errors.NotAStore):
        open_remote_store(URL, cache=tmp_path / "cache")
    count = len(store.manifest.files)
    monkeypatch.setattr(type(memory), "put_file", lambda self, *a, **o: (sent.append(a[1]), put(self, *a, **o)))
    publish_store(tmp_path / "s", URL)
    assert len(sent) == count
    assert names(memory) == sorted([*(file.name for file in store.manifest.files), "store.json"])


def test_what_another_publication_left_is_never_taken_for_ones_own(tmp_path: Path, memory: Any) -> None:
    first = make_store(tmp_path / "s", seed=1)
    second = make_store(tmp_path / "t", seed=2)
    publish_store(tmp_path / "s", URL)
    memory.rm_file("/bucket/run/store.json")  # all of it but the end
    publish_store(tmp_path / "t", URL)
    far = open_remote_store(URL, cache=tmp_path / "cache")
    assert np.array_equal(dense(far), dense(second))
    assert not np.array_equal(dense(far), dense(first))


def test_a_published_store_is_never_replaced(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", seed=1)
    make_store(tmp_path / "t", seed=2)
    publish_store(tmp_path / "s", URL)
    assert publish_store(tmp_path / "s", URL) == store.manifest
    with pytest.raises(errors.StoreConflict, match="memory://bucket/run"):
        publish_store(tmp_path / "t", URL)


def test_a_damaged_store_is_not_published(tmp_path: Path, memory: Any) -> None:
    store = make_store(tmp_path / "s")
    path = tmp_path / "s" / store.manifest.files[-1].name
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(errors.StoreCorrupt):
        publish_store(tmp_path / "s", URL)
    assert "store.json" not in names(memory)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/run",
        "https://host/run?token=hunter2",
        "https://host/run#hunter2",
        "simplecache::s3://bucket/hunter2",
        "no address",
        "://x",
    ],
)
def test_an_address_with_a_secret_or_a_chain_is_refused_unrepeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(errors.RemoteRefused) as caught:
        open_remote_store(url, cache=tmp_path)
    if "::" not in url:
        assert "hunter2" not in str(caught.value)
    assert "hunter2" not in shown_address("https://user:hunter2@host/run?token=hunter2#hunter2")


def test_a_scheme_whose_package_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(
        import_module("fsspec.registry")._registry, "s3", raising=False
    )  # another test may have loaded it
    with pytest.raises(errors.PackageMissing, match="s3://bucket/run needs"):
        open_remote_store("s3://bucket/run", cache=tmp_path)


def test_an_unknown_scheme_and_an_empty_address_are_said(tmp_path: Path) -> None:
    with pytest.raises(errors.RemoteStoreFailed, match="ValueError"):
        open_remote_store("nonsense://bucket/run", cache=tmp_path)
    with pytest.raises(errors.NotAStore, match="memory://bucket/none"):
        open_remote_store("memory://bucket/none", cache=tmp_path)


def test_an_error_that_only_a_library_knows_is_one_sentence_without_its_words(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ClientError(Exception):
        """As aiohttp's: no kind of OSError."""

    def failing(self: Any, path: str) -> int:
        raise ClientError(f"{path}?token=hunter2")

    monkeypatch.setitem(sys.modules, "aiohttp", SimpleNamespace(ClientError=ClientError))
    monkeypatch.setattr(type(memory), "size", failing)
    with pytest.raises(errors.RemoteStoreFailed, match="ClientError") as caught:
        open_remote_store(URL, cache=tmp_path)
    assert "hunter2" not in str(caught.value)
