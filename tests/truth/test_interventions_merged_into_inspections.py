"""An inspection given interventions on a model with a planted cause grades as `intervene` did, and no higher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import CoordinateCard, InspectReport
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.workflows.calibrating import investigate as pipeline
from interp_lab.workflows.calibrating.investigate import CRITERION, DATASET, MODEL
from interp_lab.workflows.calibrating.score import lay_out
from interp_lab.workflows.calibrating.sweep import EASY, Draw, settings_of
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.memory.history import read_run
from interp_lab.worlds.latents import hide
from interp_lab.worlds.planted import build_planted
from interp_lab_tools.inspect_again import inspect_again

SEED = 6


class World(NamedTuple):
    lab: pipeline.Lab
    names: dict[str, tuple[str, int]]
    """Address and index by what is planted there."""
    artifact: str
    """The report of intervene."""
    report: InterveneReport
    records: list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("merged")
    built = build_planted(EASY, SEED)
    hidden = hide(built, SEED)
    question = lay_out(built, hidden, folder, draw=Draw(settings_of("small")[0], SEED), seed=0)
    lab = pipeline.Lab(question, lambda: None)
    seen, inspected = lab.inspect()
    names = {each.name: (f"{each.address}/relu-48", each.index) for each in hidden.key}
    ranks = {(row.address, row.index): row.rank for row in seen.ranking}
    report = lab.intervene(inspected, [ranks[names["cause"]], ranks[names["inert"]]])
    store = ArtifactStore(WorkspacePaths.of(lab.settings))
    artifact = next(a for a in store.ids() if store.open(a).kind == "intervention_report")
    lines = store.path_of(artifact, "interventions.jsonl").read_text(encoding="utf-8").splitlines()
    return World(lab, names, artifact, report, [json.loads(line) for line in lines])


def inspected(world: World, *interventions: str, **options: Any) -> dict[str, CoordinateCard]:
    asked = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "top_k": 40, "n_contexts": 1}
    request = InspectRequest.model_validate(
        {**asked, "dictionaries": world.lab.question.dictionaries, "interventions": interventions, **options}
    )
    with world.lab._run(request) as run:
        inspect(request, run, settings=world.lab.settings, suggest=lambda _: ())
        store = ArtifactStore(WorkspacePaths.of(world.lab.settings))
        text = store.path_of(run.published[-1], "report.json").read_bytes()
    report = InspectReport.model_validate_json(text)
    by_place = {(card.address, card.index): card for card in report.coordinates}
    return {name: by_place[place] for name, place in world.names.items() if place in by_place}


def written(world: World, records: list[dict[str, Any]]) -> str:
    path = Path(world.lab.question.folder) / "edits.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path.name


def test_our_own_report_gives_the_grades_that_intervene_gave(world: World) -> None:
    alone = inspected(world)
    cards = inspected(world, world.artifact)
    for name, unit in zip(("cause", "inert"), world.report.units, strict=True):
        card = cards[name]
        assert card.grade == unit.grade, (name, card.reasons, unit.reasons)
        assert card.association_grade == alone[name].grade
        assert {edit.provenance for edit in card.causal} == {"measured"}
        assert {edit.source for edit in card.causal} == {world.artifact}
        assert [edit.figures[-1].effect for edit in card.causal] == [
            edit.confirm.effect for edit in unit.edits if edit.confirm is not None
        ]
    assert cards["cause"].grade == "validated"
    assert cards["inert"].grade == "needs_causal_evidence"
    assert "effect_like_control" in {reason.code for reason in cards["inert"].reasons}
    untouched = set(cards) - {"cause", "inert"}
    assert untouched
    assert all(cards[name].grade == alone[name].grade and not cards[name].causal for name in untouched)


def test_its_records_as_a_file_say_the_same_of_cause_and_decoy(world: World) -> None:
    cards = inspected(world, written(world, world.records))
    assert cards["cause"].grade == "validated", cards["cause"].reasons
    assert cards["inert"].grade == "needs_causal_evidence"
    assert {edit.provenance for edit in cards["cause"].causal} == {"imported"}
    measured = {(edit.edit, edit.strength): edit.confirm for edit in world.report.units[0].edits}
    compared = 0
    for edit in cards["cause"].causal:
        confirm = measured.get((edit.edit, edit.strength))  # type: ignore[arg-type]
        if confirm is not None:
            assert edit.figures[-1].effect == pytest.approx(confirm.effect, rel=1e-3)
            compared += 1
    assert compared


def test_its_records_say_what_the_report_knows_of_looks_and_of_the_metric(world: World) -> None:
    told = {(record["metadata"]["earlier_looks"], record["metadata"]["metric_can_move"]) for record in world.records}
    assert told == {(0, True)}


def test_on_another_split_its_records_confirm_nothing(world: World) -> None:
    card = inspected(world, written(world, world.records), seed=1)["cause"]
    assert card.grade != "validated"
    assert {code for edit in card.causal for code in edit.reasons} == {"intervention_on_other_prompts"}


def test_without_its_controls_the_same_file_moves_nothing(world: World) -> None:
    bare = [record for record in world.records if "control_type" not in record["metadata"]]
    cards = inspected(world, written(world, bare))
    assert cards["cause"].grade == "needs_causal_evidence"
    assert {code for edit in cards["cause"].causal for code in edit.reasons} == {"effect_without_controls"}


def test_on_another_split_the_same_report_confirms_nothing(world: World) -> None:
    """Its confirm prompts would be explore prompts of this inspection."""
    cards = inspected(world, world.artifact, seed=1)
    assert cards["cause"].grade != "validated"
    assert {code for edit in cards["cause"].causal for code in edit.reasons} == {"intervention_on_other_prompts"}
    assert {figure.part for edit in cards["cause"].causal for figure in edit.figures} == {"unknown"}


def test_the_inspection_that_intervene_offers_is_that_of_its_report_with_the_edits(world: World) -> None:
    settings = world.lab.settings
    run = read_run(world.artifact, settings)
    request = InterveneRequest.model_validate(run.request)
    (action,) = inspect_again(request, world.artifact, settings)
    assert action.tool == "inspect"
    again = InspectRequest.model_validate(action.arguments)
    assert again.interventions == (world.artifact,)
    assert again.dictionaries == world.lab.question.dictionaries
    with world.lab._run(again) as nested:
        found = inspect(again, nested, settings=settings, suggest=lambda _: ())
    edited = [row for row in found.ranking if (row.address, row.index) == world.names["cause"]]
    assert [row.grade for row in edited] == [world.report.units[0].grade]
    assert "Interventions:" in found.summary


def test_no_inspection_is_offered_once_the_report_that_was_edited_is_gone(world: World) -> None:
    run = read_run(world.artifact, world.lab.settings)
    request = InterveneRequest.model_validate(run.request | {"report": "0" * 64})
    assert inspect_again(request, world.artifact, world.lab.settings) == ()
