"""The next call that a plan hands out, made as it stands on a model with a planted cause, moves the grade it named."""

from __future__ import annotations

from typing import Any

import pytest

from interp_lab.contracts.dossier import DossierResult
from interp_lab.contracts.evidence_plan import PlanEvidenceResult
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.settings import Settings
from interp_lab.workflows.calibrating import investigate as pipeline
from interp_lab.workflows.calibrating.investigate import CRITERION, MODEL
from interp_lab.workflows.calibrating.score import lay_out
from interp_lab.workflows.calibrating.sweep import EASY, Draw, settings_of
from interp_lab.workflows.intervene import intervene
from interp_lab.worlds.latents import LatentTruth, hide
from interp_lab.worlds.planted import build_planted
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.lab import Lab

SEED = 6
ALL = frozenset(capability.toolset for capability in CAPABILITIES)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[pipeline.Lab, tuple[LatentTruth, ...], str]:
    folder = tmp_path_factory.mktemp("planned")
    built = build_planted(EASY, SEED)
    hidden = hide(built, SEED)
    question = lay_out(built, hidden, folder, draw=Draw(settings_of("small")[0], SEED), seed=0)
    asked = pipeline.Lab(question, lambda: None)
    _, report = asked.inspect()
    return asked, hidden.key, report


def ask(asked: pipeline.Lab, tool: str, **arguments: Any) -> Any:
    with Lab.open(Settings(workspace=asked.question.folder, ballast_bytes=0, min_free_bytes=0), ALL) as lab:
        return call(lab, tool, arguments)


def carry_out(asked: pipeline.Lab, arguments: dict[str, Any]) -> None:
    request = InterveneRequest.model_validate(arguments)
    with asked._run(request) as run:
        intervene(request, run, settings=asked.settings, suggest=lambda _: ())


def of(found: Any, name: str) -> Any:
    return next(each for each in found if each.name == name)


def test_the_planned_edit_validates_the_planted_cause_and_not_the_inert_decoy(world: Any) -> None:
    asked, key, report = world
    plan: PlanEvidenceResult = ask(asked, "plan_evidence", report=report, limit=30)
    planned = {each.unit: each for each in plan.experiments if each.kind == "edit"}
    expected = {"cause": "validated", "inert": "needs_causal_evidence"}
    for role, grade in expected.items():
        true = next(each for each in key if each.name == role)
        name = f"{true.address}/relu-48 #{true.index}"
        found = planned[name]
        assert found.grade == "needs_causal_evidence"
        assert found.would_give == "validated"
        assert found.call is not None
        carry_out(asked, found.call.arguments)
        dossier: DossierResult = ask(asked, "dossier", model=MODEL, criterion=CRITERION, section="claims", limit=50)
        assert dossier.parts is not None
        assert of(dossier.parts.claims, name).grade == grade
    changes: DossierResult = ask(asked, "dossier", model=MODEL, criterion=CRITERION, section="transitions")
    assert changes.parts is not None
    (change,) = changes.parts.transitions
    assert (change.before, change.after) == ("needs_causal_evidence", "validated")
