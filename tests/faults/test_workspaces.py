"""F19: workspaces that are read-only, deleted, replaced, moved, linked, or on a network file system."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interp_lab.errors import NetworkFileSystem, UnknownJob, WorkspaceUnusable
from interp_lab.jobs import filesystem
from interp_lab.jobs.engine import JobEngine
from tests.faults.rig import finish, settings, settle, spec

NOBODY = 65534


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that every user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_workspace_is_refused_in_words_and_left_as_it_was(public_folder: Path) -> None:
    locked = public_folder / "locked"
    locked.mkdir(mode=0o555)
    code = (
        "import os, sys; from pathlib import Path; from interp_lab.errors import WorkspaceUnusable\n"
        "from interp_lab.jobs.engine import JobEngine; from interp_lab.settings import Settings\n"
        f"if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: JobEngine(Settings(workspace=Path(sys.argv[1])))\n"
        "except WorkspaceUnusable as error: print(error.what)"
    )
    command = [sys.executable, "-c", code, str(locked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "cannot be written: Permission denied" in done.stdout, done.stderr
    assert list(locked.iterdir()) == []


def test_a_deleted_workspace_gives_a_clear_error_and_is_not_made_again(workspace: Path) -> None:
    engine = JobEngine(settings(workspace))
    job = engine.submit(spec("count", steps=1))
    shutil.rmtree(workspace)
    for ask in (lambda: engine.get(job.id), lambda: engine.submit(spec("count", steps=2)), engine.tick):
        with pytest.raises(WorkspaceUnusable):
            ask()
    assert not workspace.exists()
    engine.close()
    workspace.mkdir()


def test_a_moved_workspace_opens_with_all_its_jobs(workspace: Path) -> None:
    engine = JobEngine(settings(workspace))
    job = finish(engine, engine.submit(spec("count", steps=2)).id)
    settle(workspace)  # a process that ends starts what waits
    waiting = engine.submit(spec("count", steps=3))
    engine.close()
    moved = workspace.with_name("moved")
    workspace.rename(moved)
    again = JobEngine(settings(moved))
    assert again.get(job.id) == job
    assert again.artifacts.verify(again.artifacts_of(job.id)[0].id).ok
    assert finish(again, waiting.id).state == "succeeded"
    again.close()
    workspace.mkdir()


def test_a_workspace_reached_through_a_link_is_the_same_workspace(workspace: Path) -> None:
    link = workspace.with_name("link")
    link.symlink_to(workspace)
    engine, other = JobEngine(settings(link)), JobEngine(settings(workspace))
    assert other.get(engine.submit(spec("count", steps=1)).id).state == "queued"
    engine.close()
    other.close()


def test_records_that_a_link_leads_elsewhere_are_refused(workspace: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (workspace / ".interp-lab").symlink_to(elsewhere)
    with pytest.raises(WorkspaceUnusable, match="link"):
        JobEngine(settings(workspace))
    assert list(elsewhere.iterdir()) == []


def test_two_workspaces_do_not_see_each_other(workspace: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    engine, other = JobEngine(settings(workspace)), JobEngine(settings(second))
    job = engine.submit(spec("count", steps=1))
    with pytest.raises(UnknownJob):
        other.get(job.id)
    engine.close()
    other.close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "9p"])
def test_a_network_file_system_is_refused_with_the_way_out_and_nothing_is_written(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(filesystem, "mounts", lambda: [("/", "ext4"), (str(workspace), kind)])
    with pytest.raises(NetworkFileSystem, match=kind) as caught:
        JobEngine(settings(workspace))
    assert "--catalog-dir" in caught.value.remedy
    assert list(workspace.iterdir()) == []

    local = tmp_path / "local"
    engine = JobEngine(settings(workspace, catalog_dir=local))
    job = engine.submit(spec("count", steps=1))
    assert finish(engine, job.id).state == "succeeded"
    settle(workspace)
    assert engine.paths.catalog.is_relative_to(local)
    on_network = [path.name for path in (workspace / ".interp-lab").rglob("*") if path.suffix in {".lock", ".sqlite"}]
    assert on_network == []
    engine.close()


def test_local_file_systems_are_accepted() -> None:
    table = [("/", "overlay"), ("/mnt/share", "nfs"), ("/mnt/share/local", "ext4"), ("/dev/shm", "tmpfs")]
    assert filesystem.filesystem_type(Path("/mnt/share/local/x"), table) == "ext4"
    assert filesystem.filesystem_type(Path("/mnt/shared"), table) == "overlay"
    for folder in ("/home", "/mnt/share/local/deep", "/dev/shm/x"):
        filesystem.refuse_network(Path(folder), lambda: table)
    with pytest.raises(NetworkFileSystem):
        filesystem.refuse_network(Path("/mnt/share/x"), lambda: table)
