"""Units that an intervention validated are followed only where the diff asks the same question of the same halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.diff_models import DiffModelsRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings
from interp_lab.workflows.diffing.validated import validated_units
from tests.unit.workflows.memory.past_runs import CRITERION, edit_card, intervene_report, publish, unit_card


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path)


@pytest.fixture
def report() -> InterveneReport:
    units = [unit_card(f"resid_post.2 #{i}", grade, [edit_card(-0.7)]) for i, grade in ((5, "validated"), (6, "weak"))]
    return intervene_report(units)


def followed(settings: Settings, report: InterveneReport, **asked: Any) -> tuple[tuple[str, int], ...]:
    same = {"base": report.model.id, "changed": "other", "criterion": CRITERION, "dataset": "prompts.jsonl"}
    request = DiffModelsRequest.model_validate(
        same | {"seed": report.run.seed, "report": publish(settings, report)} | asked
    )
    return validated_units(request, report.dataset.sha256, settings)


def test_the_validated_units_of_the_same_question_are_followed(settings: Settings, report: InterveneReport) -> None:
    assert followed(settings, report) == (("resid_post.2", 5),)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"seed": 77}, "seed"), ({"criterion": "something else"}, "criterion"), ({"base": "x"}, "model")],
)
def test_units_of_another_split_criterion_or_model_are_refused(
    settings: Settings, report: InterveneReport, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        followed(settings, report, **asked)
