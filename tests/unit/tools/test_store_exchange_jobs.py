"""store_import and store_export end to end: confined to the workspace, published whole, or refused before a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab import errors
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.store_exchange import StoreExportRequest, StoreImportRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.store.interchange.incoming import IncomingPrompt
from interp_lab.store.reader import open_store
from interp_lab.workflows.exchange.inputs import independent_groups
from interp_lab.workflows.store_export import store_export
from interp_lab.workflows.store_import import store_import
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab
from tests.unit.store.interchange.stores import CODES, DENSE, dense, make_store


def record(name: str, text: str, **changes: Any) -> str:
    base = {"model": "m", "prompt_id": name, "text": text, "criterion_score": 1, "features": {"L1:D0": 0.5, "L1:D1": 2}}
    return json.dumps({**base, **changes})


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened
        for job in opened.engine.list_jobs().items:
            opened.engine.cancel(job.id)


def run_import(workspace: Path, source: Any, **options: Any) -> tuple[Any, Path]:
    request = StoreImportRequest(source=source, **options)
    with LocalRun(workspace / "out", workspace=workspace) as run:
        result = store_import(request, run, settings=Settings(workspace=workspace))
    return result, run.written[0]


def run_export(workspace: Path, store: str, form: Any, **options: Any) -> tuple[Any, Path]:
    request = StoreExportRequest(store=store, format=form, **options)
    with LocalRun(workspace / "out", workspace=workspace) as run:
        result = store_export(request, run, settings=Settings(workspace=workspace))
    return result, run.written[0]


def test_records_become_a_published_store_with_near_duplicates_joined(tmp_path: Path) -> None:
    texts = ("the cat sat on the mat", "The  cat sat on the mat", "an entirely different sentence")
    (tmp_path / "r.jsonl").write_text("\n".join(record(str(n), text) for n, text in enumerate(texts)))
    result, folder = run_import(tmp_path, "records:r.jsonl")
    assert (result.n_rows, result.n_prompts, result.n_groups) == (3, 3, 2)
    assert result.columns[0].key == "resid_pre.1"
    assert result.agent_next_actions[0].tool == "query_activations"
    assert dense(open_store(folder), "resid_pre.1").tolist() == [[0.5, 2.0]] * 3
    assert len(result.model_dump_json()) < 4000


def test_a_bad_line_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(record("a", "x") + "\n{}\n")
    with pytest.raises(errors.MalformedFile, match="line 2"):
        run_import(tmp_path, "records:r.jsonl")
    assert not list((tmp_path / "out").glob("activation_store-*"))


@pytest.mark.parametrize("form", ["records", "npy", "npz", "delphi", "saelens"])
def test_every_format_is_published_and_the_store_untouched(tmp_path: Path, form: str) -> None:
    make_store(tmp_path / "store", lengths=(4, 4))
    before = {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    result, folder = run_export(tmp_path, "store", form)
    assert result.columns == {"delphi": (CODES,), "saelens": (DENSE,)}.get(form, (DENSE, CODES))
    assert result.n_rows == (6 if form == "records" else 8)  # the first token of a prompt is special
    assert len(list(folder.iterdir())) > 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()} == before


def test_an_export_can_be_imported_again(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", lengths=(4, 4))
    _, saelens = run_export(tmp_path, "store", "saelens")
    again, folder = run_import(tmp_path, f"saelens:{_without_manifest(saelens, tmp_path / 'cache')}")
    assert again.columns[0].source == "blocks.1.hook_resid_post"
    assert np.array_equal(dense(open_store(folder)), dense(store))
    _, delphi = run_export(tmp_path, "store", "delphi")
    place = _without_manifest(delphi, tmp_path / "latents")
    result, _ = run_import(tmp_path, {"kind": "delphi", "path": place, "address": DENSE})
    assert result.columns[0].key == "resid_post.1/delphi"


def _without_manifest(folder: Path, target: Path) -> str:
    """Copy an artifact's files to the workspace, as a person would."""
    target.mkdir()
    for path in folder.iterdir():
        if path.name != "manifest.json":
            (target / path.name).write_bytes(path.read_bytes())
    return target.name


@pytest.mark.parametrize(
    ("name", "request_", "refusal"),
    [
        ("store_import", {"source": "records:../outside.jsonl"}, errors.PathOutsideWorkspace),
        ("store_import", {"source": "records:/etc/hostname"}, errors.PathOutsideWorkspace),
        ("store_import", {"source": "records:link.jsonl"}, errors.PathOutsideWorkspace),
        ("store_import", {"source": "saelens:linked"}, errors.PathOutsideWorkspace),
        ("store_import", {"source": "interlatent:missing.db"}, errors.InvalidPath),
        ("store_import", {"source": "saelens:r.jsonl"}, errors.InvalidPath),
        ("store_import", {"source": "delphi:folder"}, errors.InvalidRequest),
        ("store_import", {"source": "nonsense:r.jsonl"}, errors.InvalidRequest),
        ("store_export", {"store": "../store", "format": "npz"}, errors.PathOutsideWorkspace),
        ("store_export", {"store": "linked", "format": "npz"}, errors.NotAStore),
        ("store_export", {"store": "0" * 64, "format": "npz"}, errors.UnknownArtifact),
        ("store_export", {"store": "store", "format": "npz", "columns": ["mlp_out.9"]}, errors.UnknownColumn),
        ("store_export", {"store": "store", "format": "delphi", "columns": [DENSE]}, errors.ExportUnfit),
        ("store_export", {"store": "store", "format": "saelens", "columns": [CODES]}, errors.ExportUnfit),
        ("store_export", {"store": "store", "format": "saelens"}, errors.ExportUnfit),
    ],
)
def test_a_bad_request_is_refused_before_there_is_a_job(
    lab: Lab, tmp_path: Path, name: str, request_: dict[str, Any], refusal: type[errors.LabError]
) -> None:
    make_store(tmp_path / "store", lengths=(3, 4))
    (tmp_path / "r.jsonl").write_text(record("a", "x"))
    (tmp_path / "link.jsonl").symlink_to("/etc/hostname")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "state.json").symlink_to("/etc/hostname")
    with pytest.raises(refusal):
        dispatch(lab, name, {**request_, "wait_s": 0})
    assert lab.engine.list_jobs().items == ()


def test_a_dry_run_says_what_would_be_read_and_written(lab: Lab, tmp_path: Path) -> None:
    make_store(tmp_path / "store", lengths=(4, 4))
    (tmp_path / "r.jsonl").write_text(record("a", "x"))
    view = dispatch(lab, "store_import", {"source": "records:r.jsonl", "dry_run": True})
    assert isinstance(view, JobView)
    assert view.plan == {"kind": "records", "n_files": 1, "n_bytes": (tmp_path / "r.jsonl").stat().st_size}
    view = dispatch(lab, "store_export", {"store": "store", "format": "npz", "dry_run": True})
    assert isinstance(view, JobView)
    assert view.plan == {"format": "npz", "columns": [DENSE, CODES], "n_rows": 8, "n_values": 96}


def test_prompts_without_text_are_told_apart_and_named_groups_joined() -> None:
    bare = [IncomingPrompt(f"sequence-{n}") for n in range(3)]
    assert len(set(independent_groups(bare))) == 3
    named = [IncomingPrompt("a", group="g"), IncomingPrompt("b", group="g"), IncomingPrompt("c", text="words of c")]
    assert len(set(independent_groups(named))) == 2
    assert len(set(independent_groups([*bare, IncomingPrompt("x", text="some text")]))) == 4
