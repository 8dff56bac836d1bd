"""More columns make a new store: what was there is shared, not rewritten, and what was published can be found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import ArtifactWriter, Origin, Sealed
from interp_lab.contracts.store import CodeColumn, DenseColumn
from interp_lab.errors import (
    ArtifactCorrupt,
    NonFiniteActivations,
    NotAStore,
    StateError,
    StoreConflict,
    StoreUnfinished,
    UnfitRows,
    UnknownArtifact,
)
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.derive import StoreExtension
from interp_lab.store.locate import open_store_artifact, publish_store
from interp_lab.store.reader import open_store
from interp_lab.store.verify import verify, verify_store

KEY, CODES = "resid_post.2", "resid_post.2/sae"
NEW = CodeColumn(address=Address("resid_post", 2), dictionary="second", width=12, dtype="float32")
MORE = (NEW, DenseColumn(address=Address("embed"), width=3, dtype="float32"))


def blocks(n_rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    codes = np.where(rng.random((n_rows, 12)) < 0.3, 1 + rng.random((n_rows, 12)), 0).astype(np.float32)
    return {NEW.key: codes, "embed": rng.standard_normal((n_rows, 3)).astype(np.float32)}


def extend(source: Path, folder: Path, *, stop: int | None = None, step: int = 70) -> Path:
    store = open_store(source)
    whole = blocks(store.n_rows)
    with StoreExtension(store, folder, MORE, settings={"dictionary": "second"}) as extension:
        for start in range(extension.finished_rows, stop or store.n_rows, step):
            end = min(start + step, stop or store.n_rows)
            extension.add({key: values[start:end] for key, values in whole.items()}, end - start)
        if stop is None:
            extension.finish()
    return folder


def test_a_derived_store_has_the_old_columns_and_the_new(tmp_path: Path, given: Callable) -> None:
    data = given()
    old, new = data.write(tmp_path / "old"), extend(tmp_path / "old", tmp_path / "new")
    store, whole = open_store(new), blocks(data.n_rows)
    assert store.keys == (KEY, CODES, NEW.key, "embed")
    assert store.manifest.settings == {"dictionary": "second"}
    np.testing.assert_array_equal(store.dense(KEY).slice(0, 450), data.dense)
    np.testing.assert_array_equal(store.codes(CODES).units(range(30)), data.codes)
    np.testing.assert_array_equal(store.codes(NEW.key).units(range(12)), whole[NEW.key])
    np.testing.assert_array_equal(store.dense("embed").slice(0, 450), whole["embed"])
    assert verify(new) == verify(old) == ()
    assert all((new / file.name).samefile(old / file.name) for file in open_store(old).manifest.files)


def test_old_columns_can_be_left_behind_and_files_copied(tmp_path: Path, given: Callable) -> None:
    data = given()
    store = open_store(data.write(tmp_path / "old"))
    options: dict[str, Any] = {"keep": [CODES], "title": "fewer", "share": False}
    with StoreExtension(store, tmp_path / "new", (NEW,), **options) as extension:
        extension.add({NEW.key: blocks(450)[NEW.key]}, 450)
        extension.finish()
    new = open_store(tmp_path / "new")
    assert (new.keys, new.manifest.title) == ((CODES, NEW.key), "fewer")
    np.testing.assert_array_equal(new.codes(CODES).units(range(30)), data.codes)
    assert verify(tmp_path / "new") == ()
    assert not list((tmp_path / "new").glob("resid_post.2-0*"))
    assert not any((tmp_path / "new" / file.name).samefile(tmp_path / "old" / file.name) for file in shared(store, new))
    with pytest.raises(StoreConflict):
        StoreExtension(store, tmp_path / "new", (NEW,))


def shared(*stores: Any) -> list[Any]:
    first, second = ({file.name: file for file in store.manifest.files} for store in stores)
    return [file for name, file in first.items() if name in second]


@pytest.mark.parametrize("stop", [99, 100, 310])
def test_an_interrupted_derivation_ends_up_with_the_same_bytes(
    tmp_path: Path, given: Callable, bytes_of: Callable[[Path], Any], stop: int
) -> None:
    given().write(tmp_path / "old")
    extend(tmp_path / "old", tmp_path / "half", stop=stop)
    with pytest.raises(StoreUnfinished):
        open_store(tmp_path / "half")
    resumed, whole = extend(tmp_path / "old", tmp_path / "half"), extend(tmp_path / "old", tmp_path / "new")
    assert bytes_of(resumed) == bytes_of(whole)


def test_a_derivation_that_does_not_fit_its_store_is_refused(tmp_path: Path, given: Callable) -> None:
    data = given()
    store = open_store(data.write(tmp_path / "old"))
    other = open_store(given(seed=1).write(tmp_path / "other"))
    with pytest.raises(UnfitRows, match="New columns"):
        StoreExtension(store, tmp_path / "new", (data.header.columns[1],))
    with StoreExtension(store, tmp_path / "new", (NEW,)) as extension:
        codes = blocks(451)[NEW.key]
        with pytest.raises(UnfitRows, match="451 came"):
            extension.add({NEW.key: codes}, 451)
        extension.add({NEW.key: codes[:123]}, 123)
        codes[200, 5] = np.nan
        with pytest.raises(NonFiniteActivations, match="prompt 20, position 0"):
            extension.add({NEW.key: codes[123:450]}, 327)
        with pytest.raises(UnfitRows, match="123 of 450"):
            extension.finish()
    with pytest.raises(StoreConflict):
        StoreExtension(other, tmp_path / "new", (NEW,))


def test_a_finished_derivation_is_returned_and_belongs_to_its_store(tmp_path: Path, given: Callable) -> None:
    store = open_store(given().write(tmp_path / "old"))
    other = open_store(given(450, seed=1, dtype="float16").write(tmp_path / "other"))
    extend(tmp_path / "old", tmp_path / "new")
    with StoreExtension(store, tmp_path / "new", MORE) as extension:
        assert extension.finished_rows == 450
        assert extension.finish() == open_store(tmp_path / "new").manifest
        with pytest.raises(StateError):
            extension.add(blocks(1), 1)
    with pytest.raises(StoreConflict):
        StoreExtension(other, tmp_path / "new", MORE)


@pytest.fixture
def lab(tmp_path: Path) -> tuple[Settings, Callable[..., str]]:
    """Return settings of a workspace and a function that publishes a folder there."""
    (tmp_path / "lab").mkdir()
    settings = Settings(workspace=tmp_path / "lab")
    paths = WorkspacePaths.of(settings)
    paths.prepare()
    artifacts, sealed = ArtifactStore(paths), list[Sealed]()

    def publish(folder: Path, kind: str = "activation_store") -> str:
        from datetime import UTC, datetime

        origin = Origin(job=None, attempt=0, started=datetime.now(UTC))
        staging = paths.tmp / f"staging-{len(sealed)}"
        with ArtifactWriter(staging, kind, "a store", origin=lambda: origin, on_seal=sealed.append) as writer:
            publish_store(folder, writer)
        with artifacts.publishing():
            artifacts.publish(sealed[-1:])
        return writer.id

    return settings, publish


def test_a_published_store_is_opened_by_its_id_and_shares_bytes_with_what_is_derived_from_it(
    tmp_path: Path, given: Callable, lab: tuple[Settings, Callable[..., str]]
) -> None:
    settings, publish = lab
    data = given()
    first = open_store_artifact(settings, publish(data.write(tmp_path / "old")))
    np.testing.assert_array_equal(first.dense(KEY).take([449, 0]), data.dense[[449, 0]])
    assert verify_store(first) == ()
    whole = blocks(450)
    with StoreExtension(first, tmp_path / "new", MORE) as extension:
        extension.add(whole, 450)
        extension.finish()
    second = open_store_artifact(settings, publish(tmp_path / "new"))
    np.testing.assert_array_equal(second.codes(NEW.key).units(range(12)), whole[NEW.key])
    name = first.manifest.shards[0].columns[KEY].name
    assert second.path_of(name) == first.path_of(name)
    assert verify_store(second) == ()


def test_what_is_no_published_store_is_refused(
    tmp_path: Path, given: Callable, lab: tuple[Settings, Callable[..., str]]
) -> None:
    settings, publish = lab
    folder = given().write(tmp_path / "store")
    with pytest.raises(UnknownArtifact):
        open_store_artifact(settings, "0" * 64)
    with pytest.raises(NotAStore, match="inspect_report"):
        open_store_artifact(settings, publish(folder, "inspect_report"))
    artifact_id = publish(folder)
    victim = open_store_artifact(settings, artifact_id).path_of("resid_post.2-00001.safetensors")
    victim.chmod(0o644)
    victim.write_bytes(b"short")
    with pytest.raises(ArtifactCorrupt, match=r"resid_post\.2-00001"):
        open_store_artifact(settings, artifact_id)
