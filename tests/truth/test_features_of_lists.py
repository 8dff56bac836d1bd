"""Features that a list only names are measured afresh: as coordinates, or as the directions that they write."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.errors import InvalidRequest, MalformedFile
from interp_lab.jobs.nested import NestedRun
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import design
from interp_lab.workflows.intervene import intervene
from interp_lab_tools.inspect_again import inspect_again

Load = Callable[[str], Any]
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")


def prompts() -> list[dict[str, Any]]:
    dice = random.Random(3)
    stems = [" ".join(dice.choices(WORDS, k=6)) for _ in range(40)]
    return [{"text": f"{s} {end}", "score": score} for s in stems for end, score in (("cat", 1), ("dog", 0))]


def states(loaded: Any, hidden: int) -> np.ndarray:
    found = []
    with torch.no_grad():
        for row in prompts():
            ids = loaded.tokenizer(row["text"], return_tensors="pt").input_ids
            found.append(loaded.model(ids, output_hidden_states=True).hidden_states[hidden][0, -1].numpy())
    return np.stack(found)


def asked(loaded: Any, path: str, **options: Any) -> InspectRequest:
    dataset = {"kind": "inline", "prompts": prompts()}
    given = {"model": loaded.source.directory.name, "criterion": "ends in cat", "dataset": dataset, "pooling": "last"}
    return InspectRequest.model_validate({**given, "evidence": f"features:{path}", "top_k": 10, **options})


def report_of(loaded: Any, folder: Path, rows: list[dict[str, Any]], *, whole: bool = False) -> InspectReport:
    path = folder / "list.json"
    text = json.dumps(rows) if whole else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text, encoding="utf-8")
    settings = Settings(workspace=loaded.source.directory.parent, read_roots=(folder,))
    run = LocalRun(folder / "out", workspace=settings.workspace)
    inspect(asked(loaded, str(path)), run, settings=settings, suggest=lambda _: ())
    return InspectReport.model_validate_json((run.written[0] / "report.json").read_text(encoding="utf-8"))


def dumped(loaded: Any, name: str, **said: Any) -> dict[str, Any]:
    return {"feature_id": name, "model": loaded.source.directory.name, "label": f"about {name}", **said}


def test_named_features_have_the_auroc_of_plain_hidden_states(load_tiny: Load, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    plain = states(loaded, 1)
    direction = np.random.default_rng(0).normal(size=plain.shape[1])
    rows = [dumped(loaded, f"L1:D{unit}", causal_effects={"criterion": 1.0}) for unit in (3, 7, 11)]
    rows += [dumped(loaded, "toy", layer=1, decoder_signature=direction.tolist())]
    report = report_of(loaded, tmp_path, rows)
    assert report.n_tested == 4
    assert {row.address.partition("/")[0] for row in report.layers} == {"resid_pre.1"}
    settings = Settings(workspace=loaded.source.directory.parent, read_roots=(tmp_path,))
    plan = design(open_inputs(asked(loaded, str(tmp_path / "list.json")), settings))
    labels = np.array([row["score"] for row in prompts()])
    true = {f"L1:D{unit}: about L1:D{unit}": plain[:, unit] for unit in (3, 7, 11)}
    true["toy: about toy"] = plain @ direction
    assert {card.name for card in report.coordinates} == set(true)
    for card in report.coordinates:
        assert card.name is not None
        for part in (card.explore, card.confirm):
            assert part is not None
            chosen = plan.rows(part.split)
            assert part.auroc.value == pytest.approx(roc_auc_score(labels[chosen], true[card.name][chosen]), abs=2e-4)
        assert card.causal == ()
        assert card.grade != "validated"
    assert any("is not measured here" in note for note in report.caveats)
    assert any("read as a direction" in note for note in report.caveats)


@pytest.mark.parametrize("whole", [False, True])
def test_records_of_neuronpedia_are_measured_where_their_hook_is(load_tiny: Load, tmp_path: Path, whole: bool) -> None:
    loaded = load_tiny("gpt2")
    plain = states(loaded, 1)
    labels = np.array([row["score"] for row in prompts()], dtype=bool)
    best = plain[labels].mean(0) - plain[~labels].mean(0)
    common = {"modelId": "gpt2-small", "layer": "1-res-jb", "hookName": "blocks.1.hook_resid_pre"}
    rows = [
        {**common, "index": "7", "vector": best.tolist(), "explanations": [{"description": "ends in cat"}]},
        {**common, "index": "8", "vector": best[:5].tolist(), "explanations": []},
        {**common, "index": "9", "vector": best.tolist(), "hookName": None},
        {**common, "index": "10", "vector": np.roll(best, 3).tolist(), "maxActApprox": 4.0},
    ]
    report = report_of(loaded, tmp_path, rows, whole=whole)
    assert report.n_tested == 2
    first = report.coordinates[0]
    assert first.name == "gpt2-small@1-res-jb:7: ends in cat"
    assert first.explore.auroc.value > 0.8
    notes = " ".join(report.caveats)
    assert "gpt2-small" in notes
    assert "1 without a coordinate or a whole decoder row" in notes
    assert "1 without a place" in notes


def test_features_of_another_model_are_left_out_and_a_list_of_them_is_refused(load_tiny: Load, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    own, other = dumped(loaded, "L1:D3"), {**dumped(loaded, "L1:D4"), "model": "another"}
    report = report_of(loaded, tmp_path, [own, other, dumped(loaded, "L1:D9999"), dumped(loaded, "L99:D1")])
    assert report.n_tested == 1
    assert any("3 of its 4 features were not measured" in note for note in report.caveats)
    with pytest.raises(InvalidRequest, match="another"):
        report_of(loaded, tmp_path, [other])


@pytest.mark.parametrize(
    "row", [{"hello": 1}, {"feature_id": "x", "model": "m", "layer": 1, "decoder_signature": [1, "a"]}, 5]
)
def test_a_row_that_is_no_feature_is_refused(load_tiny: Load, tmp_path: Path, row: Any) -> None:
    loaded = load_tiny("gpt2")
    with pytest.raises(MalformedFile):
        report_of(loaded, tmp_path, [dumped(loaded, "L1:D3"), row])


def test_a_list_needs_prompts_for_the_model_to_read() -> None:
    with pytest.raises(ValidationError, match="give a dataset"):
        InspectRequest.model_validate({"model": "m", "criterion": "c c", "evidence": "features:x.jsonl"})
    with pytest.raises(ValidationError, match="addresses"):
        InspectRequest.model_validate(
            {
                "model": "m",
                "criterion": "c c",
                "evidence": "features:x.jsonl",
                "dataset": "builtin:negation",
                "addresses": ["resid_post.1"],
            }
        )


def called(settings: Settings, number: int, request: Any, work: Callable[..., Any]) -> str:
    """Run a workflow in a workspace, and return the artifact that it published last."""
    with NestedRun(settings, number, lambda: None) as run:
        run.spec = {"request": request.model_dump(mode="json")}
        work(request, run, settings=settings, suggest=lambda _: ())
    return run.published[-1]


def test_listed_features_are_edited_by_rank_and_the_edits_come_back_to_them(load_tiny: Load, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    width = states(loaded, 1).shape[1]
    rows = [dumped(loaded, "L1:D3"), dumped(loaded, "toy", layer=1, decoder_signature=[1.0] + [0.5] * (width - 1))]
    (tmp_path / "list.json").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (tmp_path / "prompts.jsonl").write_text("\n".join(json.dumps(row) for row in prompts()), encoding="utf-8")
    shutil.copytree(loaded.source.directory, tmp_path / loaded.source.directory.name)
    settings = Settings(workspace=tmp_path)
    question = {"model": loaded.source.directory.name, "criterion": "ends in cat", "dataset": "prompts.jsonl"}
    ranked = question | {"pooling": "last", "evidence": "features:list.json"}
    report = called(settings, 1, InspectRequest.model_validate(ranked), inspect)
    edits = {"pooling": "last", "report": report, "ranks": [1, 2], "metric": "kl", "edits": ["ablate_zero"]}
    request = InterveneRequest.model_validate({**question, **edits, "n_controls": 1, "dry_run": False})
    edited = called(settings, 2, request, intervene)
    again = called(settings, 3, InspectRequest.model_validate(ranked | {"interventions": [edited]}), inspect)
    text = ArtifactStore(WorkspacePaths.of(settings)).path_of(again, "report.json").read_bytes()
    found = InspectReport.model_validate_json(text)
    assert [len(card.causal) for card in found.coordinates] == [1, 1]
    (action,) = inspect_again(request, edited, settings)
    assert InspectRequest.model_validate(action.arguments).evidence == InspectRequest.model_validate(ranked).evidence
    (tmp_path / "list.json").write_text(json.dumps(rows[0]), encoding="utf-8")
    with pytest.raises(InvalidRequest, match="no longer the list"):
        called(settings, 4, request, intervene)
