"""Patching between planted pairs finds where the cause is written, and nothing where nothing differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.patch_activations import PatchRequest, PatchResult
from interp_lab.contracts.patch_report import PatchReport
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.errors import ImpossibleEdit
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.patch_activations import patch_activations
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world
from interp_lab_tools.patch_activations import suggest

Patch = Callable[..., tuple[PatchResult, PatchReport]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PlantedTruth]:
    made = make_world("planted", 2, base="tiny-gpt2", decoys=("inert",), prompts=140, confounding=0.5)
    folder = tmp_path_factory.mktemp("world") / "world"
    write_world(made, folder)
    assert isinstance(made.truth, PlantedTruth)
    return folder, made.truth


@pytest.fixture
def patch(world: tuple[Path, PlantedTruth], tmp_path: Path) -> Patch:
    folder, truth = world

    def run(**options: Any) -> tuple[PatchResult, PatchReport]:
        request = PatchRequest.model_validate(
            {"model": "model", "criterion": "ends in a trigger", "dataset": "prompts.jsonl", "dry_run": False}
            | {"targets": truth.targets, "alternatives": truth.alternatives, "max_pairs": 12}
            | {"top_k": 3, "n_controls": 2} | options
        )  # fmt: skip
        with LocalRun(tmp_path, workspace=folder) as local:
            result = patch_activations(
                request, local, settings=Settings(workspace=folder), suggest=lambda report: suggest(request, report)
            )
            (out,) = local.written
            return result, PatchReport.model_validate_json((out / "report.json").read_bytes())

    return run


@pytest.mark.parametrize("way", ["denoising", "noising"])
def test_the_mlp_that_writes_the_planted_cause_carries_it_at_the_token_that_differs(
    patch: Patch, world: tuple[Path, PlantedTruth], way: str
) -> None:
    _, truth = world
    chain = {f.written_by[0].layer for f in truth.features if f.role in ("cause", "relay")}
    result, report = patch(components=["resid_pre", "mlp_out", "attn_out"], ways=[way])
    assert report.n_confirm > 10
    assert report.left_out["other length"] > 10
    assert report.column_kind == "roles"
    best = report.cells[: len(chain)]
    assert {(cell.component, cell.layer, cell.column) for cell in best} == {("mlp_out", n, "differing") for n in chain}
    # Any change of this length may take a behaviour away, so that noising can be like its controls; denoising cannot.
    assert (all if way == "denoising" else any)(cell.status == "carries" for cell in best)
    assert all(cell.share == pytest.approx(1.0, abs=0.3) for cell in best)
    assert "mlp_out." in result.summary.splitlines()[0]
    # What enters the first block is the whole difference; after the cause is written the last token has it.
    stream = next(one for one in report.maps if one.component == "resid_pre")
    assert stream.share[0][0] == pytest.approx(1.0, abs=1e-3)
    attention = next(one for one in report.maps if one.component == "attn_out")
    assert max(abs(value) for row in attention.share for value in row) < 0.3


def test_pairs_with_sides_dealt_by_chance_are_flagged(patch: Patch, world: tuple[Path, PlantedTruth]) -> None:
    folder, _ = world
    rows = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    for row in rows:
        if int(row["pair"]) % 2:
            row["score"] = 1.0 - row["score"]
    (folder / "dealt.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result, report = patch(dataset="dealt.jsonl", components=["mlp_out"], ways=["denoising"])
    assert [flag.code for flag in report.flags] == ["no_difference"]
    assert "No place is named" in result.summary
    assert not any(action.tool == "intervene" for action in result.agent_next_actions)


def test_single_tokens_of_pairs_that_differ_in_length_are_refused(patch: Patch) -> None:
    with pytest.raises(ImpossibleEdit, match="differ in length"):
        patch(components=["mlp_out"], columns="tokens")
