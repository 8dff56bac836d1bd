"""F18: hostile names and paths are refused, or stored under names that the lab made; nothing appears outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interp_lab.artifacts.names import check_name
from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import (
    InvalidName,
    InvalidPath,
    InvalidRequest,
    PathOutsideWorkspace,
    RequestKeyConflict,
    UnknownArtifact,
    UnknownJob,
)
from interp_lab.jobs.engine import JobEngine
from tests.faults.rig import LONG, spec
from tests.faults.rig import settings as lab_settings

HOSTILE = [
    "", ".", "..", "/", "//", "../secret", "a/../../secret", "/etc/passwd", "//server/share", "C:\\x", "C:/x", "c:x",
    "..\\secret", "a\x00b", "\x00", "a\nb", "\u202egnp.exe", "e\u0301.txt", "\ud800", "☃" * 300, "x" * 300,
    "x/" * 600, "CON", "nul.txt", "LPT1.json", "a/aux", "~/.ssh/id_rsa", "$HOME", "%2e%2e/secret", "file:///etc/passwd",
    "/proc/self/environ", "/dev/zero", "\U0001f600", "-rf", "--help", ";ls", "`id`", "data.txt/x",
    ".interp-lab/catalog.sqlite", ".INTERP-LAB/x", "sub/../../secret", "link_out", "dir_out/secret", "loop", "pipe",
    "hard", "x" * 10**6,
]  # fmt: skip
REFUSALS = (InvalidPath, PathOutsideWorkspace)
examples = settings(
    max_examples=3000 if LONG else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    """Return a workspace with every kind of trap in it and a secret beside it."""
    outside, inside = tmp_path / "outside", tmp_path / "workspace"
    for folder in (outside, inside, inside / "sub"):
        folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (outside / "secret").write_text("secret")
    (inside / "data.txt").write_text("data")
    (inside / "sub" / "deep.txt").write_text("deep")
    (inside / "link_in").symlink_to("sub/deep.txt")
    (inside / "link_abs_in").symlink_to(inside / "data.txt")
    (inside / "dir_in").symlink_to("sub")
    (inside / "sub" / "up").symlink_to("../data.txt")
    (inside / "link_out").symlink_to("../secret")
    (inside / "link_abs_out").symlink_to("/etc/passwd")
    (inside / "dir_out").symlink_to(outside)
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "pipe")
    os.link(outside / "secret", inside / "hard")
    return inside


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:30])
def test_a_hostile_path_opens_nothing(yard: Path, name: str) -> None:
    with pytest.raises(REFUSALS), open_input(yard, name):
        pass
    with pytest.raises(REFUSALS):
        resolve_input(yard, name, kind="file")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.txt", "data"),
        ("./data.txt", "data"),
        ("sub//deep.txt", "deep"),
        ("link_in", "deep"),
        ("link_abs_in", "data"),
        ("dir_in/deep.txt", "deep"),
        ("dir_in/up", "data"),
    ],
)
def test_an_honest_path_opens_its_file_also_through_links_that_stay_inside(yard: Path, name: str, text: str) -> None:
    with open_input(yard, name) as file:
        assert file.read() == text.encode()
    assert resolve_input(yard, name).read_text() == text
    with open_input(yard, str(yard / name)) as file:
        assert file.read() == text.encode()


@examples
@given(st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "sub", "dir_out", "link_in", "x"])).map("/".join))
@example("dir_out/../secret")
def test_whatever_the_path_it_is_refused_or_lies_inside(yard: Path, name: str) -> None:
    try:
        real = resolve_input(yard, name)
    except REFUSALS:
        return
    assert real.resolve() == real
    assert real.is_relative_to(yard.resolve())


def test_a_link_swapped_in_after_the_check_is_not_followed(yard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_stat = os.stat

    def swapping_stat(path: str, **options: object) -> os.stat_result:
        seen = real_stat(path, **options)  # type: ignore[arg-type]
        if path == "data.txt":
            (yard / "data.txt").unlink()
            (yard / "data.txt").symlink_to("../secret")
        return seen

    monkeypatch.setattr(os, "stat", swapping_stat)
    with pytest.raises(REFUSALS), open_input(yard, "data.txt"):
        pass


@examples
@given(st.text(max_size=120))
@example("con")
@example("a.")
@example("report.json\n")
def test_a_name_in_an_artifact_is_refused_or_plain(name: str) -> None:
    try:
        check_name(name)
    except InvalidName:
        return
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>|\x00\n ')
    assert name not in {".", ".."}


@examples
@given(st.text(max_size=80))
@example("../" * 10)
@example("0" * 33)
@example("0" * 32 + "\n")
def test_an_id_leads_nowhere_unless_the_lab_could_have_made_it(tmp_path: Path, text: str) -> None:
    paths = WorkspacePaths(tmp_path, tmp_path / ".interp-lab")
    with pytest.raises(UnknownJob):
        paths.job(text)
    with pytest.raises(UnknownArtifact):
        paths.artifact(text)
    with pytest.raises(UnknownArtifact):
        paths.blob(text)


@settings(examples, max_examples=300 if LONG else 25)
@given(
    label=st.text(st.characters(codec=None), max_size=60),
    key=st.text(st.characters(codec=None), min_size=1, max_size=60),
)
@example(label="\ud800", key="k")
@example(label="x", key="\udcff" * 10**5)
@example(label="../" * 20, key="'; DROP TABLE jobs; --")
def test_hostile_labels_and_keys_are_stored_as_they_are_or_refused(
    engine: JobEngine, workspace: Path, label: str, key: str
) -> None:
    before = {path.name for path in workspace.parent.iterdir()}
    given_spec = type(spec("count"))(capability=label or "x", request={label: label}, label=label, slot="cpu")
    try:
        job = engine.submit(given_spec, request_key=key, force=True)
    except InvalidRequest:
        assert not label.isprintable()
        return
    except RequestKeyConflict:
        return
    assert (job.label, engine.spec(job.id).request) == (label, {label: label})
    engine.cancel(job.id)
    assert {path.name for path in workspace.parent.iterdir()} == before


def test_a_spec_of_a_megabyte_is_kept_whole(engine: JobEngine) -> None:
    big = spec("count", text="é" * 2**20)
    assert engine.spec(engine.submit(big).id) == big


def test_an_engine_opens_in_a_folder_with_a_hostile_name(tmp_path: Path) -> None:
    for name in ("a b?c#d%20e&f", "ünï-☃", "--help", "'; DROP TABLE jobs"):
        folder = tmp_path / name
        folder.mkdir()
        engine = JobEngine(lab_settings(folder))
        assert engine.get(engine.submit(spec("count", steps=1)).id).state == "queued"
        assert engine.paths.catalog.exists()
        engine.close()
