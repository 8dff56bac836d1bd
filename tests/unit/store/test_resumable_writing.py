"""A writer that was interrupted goes on after its last whole shard, and nobody can tell from the bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interp_lab.errors import NotAStore, StateError, StoreConflict, StoreUnfinished, UnfitRows
from interp_lab.store.reader import open_store
from interp_lab.store.writer import StoreWriter

BytesOf = Callable[[Path], dict[str, bytes]]


def test_the_same_rows_give_the_same_bytes_however_they_are_cut_into_blocks(
    tmp_path: Path, given: Callable, bytes_of: BytesOf
) -> None:
    whole = given().write(tmp_path / "whole", step=1000)
    pieces = given().write(tmp_path / "pieces", step=7)
    assert bytes_of(whole) == bytes_of(pieces)


def test_other_rows_give_other_bytes(tmp_path: Path, given: Callable, bytes_of: BytesOf) -> None:
    assert bytes_of(given().write(tmp_path / "a")) != bytes_of(given(seed=1).write(tmp_path / "b"))


@pytest.mark.parametrize("stop_after", [1, 99, 100, 101, 250, 449])
def test_an_interrupted_store_ends_up_with_the_same_bytes(
    tmp_path: Path, given: Callable, bytes_of: BytesOf, stop_after: int
) -> None:
    data = given()
    with StoreWriter(tmp_path / "half", data.header, shard_rows=100) as writer:
        writer.add(data.block(0, stop_after))
        assert writer.finished_rows == stop_after // 100 * 100
    with pytest.raises(StoreUnfinished):
        open_store(tmp_path / "half")
    assert bytes_of(data.write(tmp_path / "half")) == bytes_of(data.write(tmp_path / "whole"))


def test_a_process_that_died_without_a_word_leaves_its_whole_shards(
    tmp_path: Path, given: Callable, bytes_of: BytesOf
) -> None:
    data = given()
    with StoreWriter(tmp_path / "half", data.header, shard_rows=100) as dead:
        dead.add(data.block(0, 330))
        assert any(path.name.endswith(".tmp") for path in (tmp_path / "half").iterdir())
        assert StoreWriter(tmp_path / "half", data.header, shard_rows=100).finished_rows == 300
        assert bytes_of(data.write(tmp_path / "half")) == bytes_of(data.write(tmp_path / "whole"))


@pytest.mark.parametrize("damage", ["torn", "missing", "record"])
def test_a_shard_that_is_not_as_it_was_written_is_written_again(
    tmp_path: Path, given: Callable, bytes_of: BytesOf, damage: str
) -> None:
    data = given()
    with StoreWriter(tmp_path / "half", data.header, shard_rows=100) as writer:
        writer.add(data.block(0, 330))
    victim = tmp_path / "half" / ("shard-00001.json" if damage == "record" else "resid_post.2-00001.safetensors")
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-5] + b"?!{]#")
    assert StoreWriter(tmp_path / "half", data.header, shard_rows=100).finished_rows == 100
    assert bytes_of(data.write(tmp_path / "half")) == bytes_of(data.write(tmp_path / "whole"))


def test_a_folder_of_another_store_is_refused(tmp_path: Path, given: Callable) -> None:
    data = given()
    with StoreWriter(tmp_path / "half", data.header, shard_rows=100) as writer:
        writer.add(data.block(0, 150))
    other = data.header.model_copy(update={"seed": 9})
    with pytest.raises(StoreConflict, match="another header"):
        StoreWriter(tmp_path / "half", other, shard_rows=100)
    with pytest.raises(StoreConflict):
        StoreWriter(tmp_path / "half", data.header, shard_rows=64)
    assert StoreWriter(tmp_path / "half", data.header, shard_rows=100).finished_rows == 100


def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path, given: Callable) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreConflict, match="not empty"):
        StoreWriter(tmp_path, given().header)
    with pytest.raises(NotAStore):
        open_store(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_finished_store_is_returned_and_takes_no_more_rows(tmp_path: Path, given: Callable) -> None:
    data = given()
    data.write(tmp_path / "store")
    with StoreWriter(tmp_path / "store", data.header, shard_rows=100) as writer:
        assert writer.finished
        assert writer.finished_rows == data.n_rows
        assert writer.finish({}) == open_store(tmp_path / "store").manifest
        with pytest.raises(StateError):
            writer.add(data.block(0, 5))
    with pytest.raises(StoreConflict):
        StoreWriter(tmp_path / "store", data.header.model_copy(update={"seed": 3}), shard_rows=100)


def test_a_store_without_rows_or_with_rows_of_unknown_prompts_is_not_finished(tmp_path: Path, given: Callable) -> None:
    data = given()
    with pytest.raises(UnfitRows, match="no rows"):
        StoreWriter(tmp_path / "empty", data.header).finish(data.prompts)
    with StoreWriter(tmp_path / "short", data.header) as writer:
        writer.add(data.block(0, 450))
        with pytest.raises(UnfitRows, match="prompt 44"):
            writer.finish({name: values[:44] for name, values in data.prompts.items()})
        assert writer.finish(data.prompts).n_rows == 450
