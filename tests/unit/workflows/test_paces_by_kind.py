"""How fast earlier runs were corrects plans of their kind, and of kinds that have not run yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import Work, planned_seconds, record_pace
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.tracing.cost import KIND
from interp_lab.workflows.validate_paths import validate_paths
from tests.unit.workflows.test_sharded_paths import CLAIMS

MODEL = ModelRef(id="builtin:pocket-llama")
WORK = Work(n_prompts=100, n_rows=1000, macs=1e10, n_written=0)


def test_a_kind_that_has_not_run_goes_by_interventions_and_then_by_its_own_runs(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path, offline=True)
    first, source = planned_seconds(WORK, MODEL, settings, kind="patch")
    assert "ordinary" in source
    record_pace(WORK, 3 * WORK.seconds, MODEL, settings)
    assert planned_seconds(WORK, MODEL, settings, kind="patch")[0] > 2.5 * first
    record_pace(WORK, WORK.seconds / 2, MODEL, settings, kind="patch")
    own, source = planned_seconds(WORK, MODEL, settings, kind="patch")
    assert own < 0.6 * first
    assert "1 earlier run" in source
    assert planned_seconds(WORK, MODEL, settings)[0] > 2.5 * first


@pytest.mark.parametrize(
    ("shards", "told"), [(1, "1 earlier run of this model here"), (2, "an ordinary processor core")]
)
def test_a_validation_tells_later_plans_how_long_it_took_unless_it_is_one_of_several_shards(
    tmp_path: Path, shards: int, told: str
) -> None:
    settings = Settings(workspace=tmp_path, offline=True)
    request = ValidatePathsRequest.model_validate({**CLAIMS, "shards": shards})
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        validate_paths(request, run, settings=settings, suggest=Suggest())
    assert planned_seconds(WORK, request.model, settings, kind=KIND)[1].startswith(told)
