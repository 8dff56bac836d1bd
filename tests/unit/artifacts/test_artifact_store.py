"""What is published is served byte for byte or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.collect import collect
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import ArtifactWriter, Origin, Sealed
from interp_lab.errors import ArtifactCorrupt, ArtifactTooNew, InvalidName, InvalidRequest, StateError, UnknownArtifact
from interp_lab.settings import Settings

JOB = "a" * 32


@pytest.fixture
def paths(tmp_path: Path) -> WorkspacePaths:
    found = WorkspacePaths.of(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0))
    found.prepare()
    return found


@pytest.fixture
def store(paths: WorkspacePaths) -> ArtifactStore:
    return ArtifactStore(paths)


def writer(paths: WorkspacePaths, done: list[Sealed], title: str = "T") -> ArtifactWriter:
    origin = Origin(
        job=JOB,
        attempt=1,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        spec={"capability": "c"},
        inputs={"model": "m@1"},
        code_version="1+g0",
        package_versions={"numpy": "2"},
        seeds={"seed": 7},
    )
    folder = paths.staging(JOB, 1) / uuid4().hex
    return ArtifactWriter(folder, "kind", title, origin=lambda: origin, on_seal=done.append)


def publish(paths: WorkspacePaths, store: ArtifactStore, files: dict[str, bytes], title: str = "T") -> str:
    done: list[Sealed] = []
    with writer(paths, done, title) as artifact:
        for name, data in files.items():
            artifact.write_bytes(name, data)
    with store.publishing():
        store.publish(done)
    return artifact.id


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,8}\.(txt|bin)", fullmatch=True).filter(lambda n: not n.startswith("con")),
        st.binary(max_size=200),
        max_size=4,
    )
)
def test_what_was_written_is_what_is_read(paths: WorkspacePaths, store: ArtifactStore, files: dict[str, bytes]) -> None:
    artifact_id = publish(paths, store, files)
    manifest = store.open(artifact_id)
    assert {file.name: store.read_file(artifact_id, file.name) for file in manifest.files} == files
    assert [(f.bytes, f.sha256) for f in manifest.files] == [
        (len(data), hashlib.sha256(data).hexdigest()) for _, data in sorted(files.items())
    ]
    assert store.verify(artifact_id).ok


def test_the_id_is_the_hash_of_the_canonical_manifest(paths: WorkspacePaths, store: ArtifactStore) -> None:
    artifact_id = publish(paths, store, {"a.txt": b"x"})
    stored = (paths.artifact(artifact_id) / "manifest.json").read_bytes()
    assert sha256_hex(stored) == artifact_id
    assert canonical_json(json.loads(stored)) == stored
    manifest = store.open(artifact_id)
    assert (manifest.job, manifest.inputs, manifest.seeds) == (JOB, {"model": "m@1"}, {"seed": 7})
    assert (manifest.code_version, manifest.package_versions, manifest.device) == ("1+g0", {"numpy": "2"}, "cpu")


def test_equal_contents_are_kept_once_and_read_only(paths: WorkspacePaths, store: ArtifactStore) -> None:
    publish(paths, store, {"a.txt": b"same", "b.txt": b"same"})
    publish(paths, store, {"c.txt": b"same"}, "other")
    (blob,) = paths.blobs.glob("??/*")
    assert stat.S_IMODE(blob.stat().st_mode) == 0o444


def test_every_file_has_its_own_name_in_the_folder_that_the_store_gives(
    paths: WorkspacePaths, store: ArtifactStore
) -> None:
    artifact_id = publish(paths, store, {"report.html": b"<p>", "manifest.json": b"{}"})
    folder = paths.workspace / store.relative_folder(artifact_id)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "report.html": b"<p>",
        "manifest.json": b"{}",
    }
    assert store.verify(artifact_id).ok


def test_a_folder_is_handed_out_only_with_the_bytes_that_were_published(
    paths: WorkspacePaths, store: ArtifactStore
) -> None:
    artifact = publish(paths, store, {"a.txt": b"one", "b.txt": b"two"})
    folder = store.checked_folder(artifact)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"a.txt": b"one", "b.txt": b"two"}
    (folder / "a.txt").unlink()  # as on a disk without hard links
    (folder / "b.txt").unlink()
    (folder / "b.txt").write_bytes(b"2!!")
    again = store.checked_folder(artifact)
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {"a.txt": b"one", "b.txt": b"two"}


def test_a_folder_with_damaged_content_is_refused(paths: WorkspacePaths, store: ArtifactStore) -> None:
    artifact = publish(paths, store, {"a.txt": b"one"})
    blob = paths.blob(store.manifest(artifact).files[0].sha256)
    blob.chmod(0o644)
    blob.write_bytes(b"1!!")
    with pytest.raises(ArtifactCorrupt):
        store.checked_folder(artifact)


def test_a_part_of_a_file_can_be_read(paths: WorkspacePaths, store: ArtifactStore) -> None:
    artifact_id = publish(paths, store, {"a.txt": b"0123456789"})
    assert store.read_file(artifact_id, "a.txt", offset=3, limit=4) == b"3456"
    assert store.read_file(artifact_id, "a.txt", offset=99) == b""


def test_json_text_and_library_files_are_hashed_too(paths: WorkspacePaths, store: ArtifactStore) -> None:
    done: list[Sealed] = []
    with writer(paths, done) as artifact:
        artifact.write_json("r.json", {"ü": [1, None]})
        artifact.write_text("r.md", "# naïve")
        artifact.path("w.safetensors").write_bytes(b"weights")
        artifact.metrics["n"] = 3
        artifact.warnings.append("mind this")
        with pytest.raises(StateError):
            _ = artifact.id
    store.publish(done)
    manifest = store.open(artifact.id)
    assert [f.media_type for f in manifest.files] == [
        "application/json",
        "text/markdown",
        "application/vnd.safetensors",
    ]
    assert (manifest.metrics, manifest.warnings) == ({"n": 3}, ("mind this",))
    assert json.loads(store.read_file(artifact.id, "r.json")) == {"ü": [1, None]}
    assert store.verify(artifact.id).ok


def test_twin_names_and_bad_values_are_refused_while_writing(paths: WorkspacePaths) -> None:
    done: list[Sealed] = []
    with writer(paths, []) as artifact:
        artifact.write_text("a.txt", "x")
        with pytest.raises(InvalidName):
            artifact.write_text("A.TXT", "y")
    shutil.rmtree(paths.staging(JOB, 1))
    with pytest.raises(InvalidRequest), writer(paths, done) as artifact:
        artifact.write_json("r.json", float("nan"))
    assert done == []
    assert not any(paths.staging(JOB, 1).iterdir())


def test_an_artifact_that_was_withdrawn_or_never_was_is_unknown(paths: WorkspacePaths, store: ArtifactStore) -> None:
    artifact_id = publish(paths, store, {"a.txt": b"x"})
    store.withdraw([artifact_id])
    with pytest.raises(UnknownArtifact):
        store.open(artifact_id)
    with pytest.raises(UnknownArtifact):
        store.open("0" * 64)
    assert list(store.ids()) == []


def test_a_file_that_is_not_in_the_manifest_is_unknown(paths: WorkspacePaths, store: ArtifactStore) -> None:
    artifact_id = publish(paths, store, {"a.txt": b"x"})
    for name in ("b.txt", "../a.txt", "manifest.json", ""):
        with pytest.raises(UnknownArtifact):
            store.read_file(artifact_id, name)


def test_a_manifest_of_a_newer_schema_is_refused_as_such(paths: WorkspacePaths, store: ArtifactStore) -> None:
    raw = canonical_json({"schema_version": 2, "shape": "unknown"})
    folder = paths.artifact(sha256_hex(raw))
    folder.mkdir()
    (folder / "manifest.json").write_bytes(raw)
    with pytest.raises(ArtifactTooNew, match="schema 2"):
        store.open(folder.name)


def test_publishing_the_same_content_again_heals_it(paths: WorkspacePaths, store: ArtifactStore) -> None:
    artifact_id = publish(paths, store, {"a.txt": b"content"})
    (blob,) = paths.blobs.glob("??/*")
    blob.chmod(0o644)
    blob.write_bytes(b"CONTENT")
    with pytest.raises(ArtifactCorrupt):
        store.read_file(artifact_id, "a.txt")
    publish(paths, store, {"other.txt": b"content"}, "again")
    with pytest.raises(ArtifactCorrupt):
        store.open(artifact_id)
    assert store.verify(artifact_id).ok
    assert store.read_file(artifact_id, "a.txt") == b"content"


def test_the_collector_takes_what_nobody_refers_to_and_nothing_else(
    paths: WorkspacePaths, store: ArtifactStore
) -> None:
    kept = publish(paths, store, {"a.txt": b"kept", "s.txt": b"shared"})
    dropped = publish(paths, store, {"a.txt": b"dropped", "s.txt": b"shared"})
    done = collect(paths, store, lambda: [kept])
    assert (done.manifests, done.blobs) == (1, 1)
    assert store.verify(kept).ok
    assert list(store.ids()) == [kept]
    assert len(list(paths.trash.iterdir())) == 2
    with pytest.raises(UnknownArtifact):
        store.open(dropped)


def test_the_collector_takes_no_content_while_a_kept_manifest_cannot_be_read(
    paths: WorkspacePaths, store: ArtifactStore
) -> None:
    kept = publish(paths, store, {"a.txt": b"kept"})
    (paths.artifact(kept) / "manifest.json").write_bytes(b"torn")
    assert collect(paths, store, lambda: [kept]).blobs == 0
    assert len(list(paths.blobs.glob("??/*"))) == 1


def test_old_trash_and_dead_drafts_are_deleted_and_young_ones_stay(
    paths: WorkspacePaths, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(paths, store, {"a.txt": b"x"})
    draft = paths.staging(JOB, 2)
    draft.mkdir()
    paths.job(JOB).mkdir()
    assert collect(paths, store, list).drafts == 0
    tomorrow = time.time() + 25 * 3600
    monkeypatch.setattr("interp_lab.artifacts.collect.time.time", lambda: tomorrow)
    done = collect(paths, store, list)
    assert (done.drafts, done.deleted) == (2, 2)
    assert list(paths.trash.iterdir()) == []
