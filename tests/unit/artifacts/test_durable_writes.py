"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from interp_lab.artifacts.checkpoints import Checkpoints
from interp_lab.artifacts.durable import free_bytes, replace_quickly, write_durably
from interp_lab.artifacts.locks import hold_lock, is_locked, try_lock
from interp_lab.errors import DiskFull


@pytest.mark.parametrize("write", [write_durably, replace_quickly])
def test_a_replacement_shows_the_new_content_and_leaves_nothing_else(tmp_path: Path, write: object) -> None:
    for content in (b"one", b"", b"three" * 1000):
        write(tmp_path / "f", content)  # type: ignore[operator]
        assert (tmp_path / "f").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_durable_write_syncs_the_file_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        real_fsync(fd)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_durably(tmp_path / "f", b"x")
    assert order == ["file", "rename", "folder"]


def test_a_full_disk_leaves_the_old_content_and_says_how_much_was_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_durably(tmp_path / "f", b"old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match=r"1000 bytes were needed, \d+ bytes are free"):
        write_durably(tmp_path / "f", bytes(1000))
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_other_failures_are_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_durably(tmp_path / "missing" / "f", b"x")


def test_free_space_is_found_for_a_path_that_does_not_exist(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") > 0


def test_a_lock_is_held_by_one_and_free_after_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    lock = try_lock(path)
    assert lock is not None
    assert is_locked(path)
    assert try_lock(path) is None
    lock.close()
    lock.close()
    assert not is_locked(path)


def test_shared_holders_do_not_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold_lock(path, shared=True), hold_lock(path, shared=True):
        assert try_lock(path) is None
    with hold_lock(path, shared=False):
        assert is_locked(path)


def test_a_checkpoint_that_fails_half_way_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "ckpt")
    assert checkpoints.latest() is None
    with checkpoints.save(1) as folder:
        (folder / "w").write_bytes(b"1")
    with pytest.raises(DiskFull), checkpoints.save(2):
        raise OSError(errno.ENOSPC, "No space left on device")
    latest = checkpoints.latest()
    assert latest is not None
    assert (latest.step, (latest.folder / "w").read_bytes()) == (1, b"1")
    assert sorted(p.name for p in (tmp_path / "ckpt").iterdir()) == ["step-000000000001"]


def test_only_the_newest_two_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (5, 10, 7, 20):
        with checkpoints.save(step) as folder:
            (folder / "w").write_bytes(b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000000010", "step-000000000020"]


def test_a_checkpoint_in_whose_middle_a_process_ended_counts_as_space_that_the_next_one_takes(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "kept")
    assert checkpoints.written() == 0
    with checkpoints.save(1) as folder:
        (folder / "weights.bin").write_bytes(bytes(1000))
    whole = checkpoints.written()
    assert whole >= 1000
    (tmp_path / "kept" / "draft").mkdir()
    (tmp_path / "kept" / "draft" / "weights.bin").write_bytes(bytes(700))
    assert checkpoints.written() == whole + 700
    with checkpoints.save(2) as folder:
        (folder / "weights.bin").write_bytes(bytes(1000))
    assert checkpoints.written() == 2 * whole
