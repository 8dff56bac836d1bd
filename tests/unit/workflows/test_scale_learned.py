"""Earlier runs on this machine count in a plan; those of another machine, model or size do not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig
from interp_lab.contracts.machine import MachineProfile
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.plan_scale import PlanScaleRequest
from interp_lab.machine.hardware import this_host
from interp_lab.machine.scale.costs import Costs, Edits, quantities
from interp_lab.machine.scale.shape import Shape
from interp_lab.models.rates import Rate, record_rate
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import device_key
from interp_lab.workflows.intervening.cost import Work, record_pace
from interp_lab.workflows.scale_learned import learned
from interp_lab.workflows.training.cost import remember_rate
from interp_lab.workflows.training.plan import Planned
from tests.unit.tools.test_plan_scale_tool import PROFILE

SHAPE = Shape(2_000_000, 1_000_000, 4, 160, 160, "files")
MODEL = ModelRef(id="builtin:pocket-gpt2")
HERE = MachineProfile.model_validate({**PROFILE, "host": this_host()})
AWAY = MachineProfile.model_validate({**PROFILE, "host": "elsewhere"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(workspace=tmp_path)
    WorkspacePaths.of(found).root.mkdir(parents=True)
    return found


def asked(n_latents: int = 1024) -> tuple[PlanScaleRequest, Costs]:
    request = PlanScaleRequest.model_validate({"model": MODEL, "n_latents": n_latents})
    return request, quantities(request, SHAPE, Edits(0.0, 0.0, 0.0, 0.0, 0.0))[0]


def harvested(settings: Settings, n_tokens: int) -> None:
    key = device_key("cpu", "float32", settings.threads_per_slot())
    rate = Rate(model="m", device=key, macs_per_s=1e9, n_tokens=n_tokens, measured_at=datetime.now(UTC))
    record_rate(WorkspacePaths.of(settings).root, fingerprint(MODEL, settings), rate)


def trained(settings: Settings, n_latents: int) -> None:
    config = DictionaryConfig(d_in=160, d_out=160, n_latents=n_latents, k=32)
    planned = Planned("d", config, TrainingConfig(), ("a",), (), 32.0)
    remember_rate([planned], WorkspacePaths.of(settings).root, (102_400, 1.0), device="cpu", job=None)


def test_without_earlier_runs_nothing_is_learned(settings: Settings) -> None:
    assert learned(*asked(), HERE, settings) == (None, None, None)


def test_runs_of_this_model_count_and_only_on_the_machine_that_they_ran_on(settings: Settings) -> None:
    harvested(settings, 100_000)
    work = Work(n_prompts=100, n_rows=10, macs=1e9, n_written=0)
    record_pace(work, 3 * work.seconds, MODEL, settings)
    found = learned(*asked(), HERE, settings)
    assert found.token is not None
    assert found.token.value == pytest.approx(0.75 * 1_000_000 / 1e9), "three of four layers"
    assert found.edits is not None
    assert found.edits.value == pytest.approx(3.0)
    assert learned(*asked(), AWAY, settings) == (None, None, None)


def test_a_harvest_of_few_tokens_says_nothing_of_a_long_one(settings: Settings) -> None:
    harvested(settings, 500)
    assert learned(*asked(), HERE, settings).token is None


def test_a_dictionary_counts_for_others_about_as_large(settings: Settings) -> None:
    trained(settings, 1024)
    found = learned(*asked(1200), HERE, settings).step
    assert found is not None
    assert found.value == pytest.approx(1.0 / 100 * 1200 / 1024), "100 steps in a second, in proportion to latents"
    assert learned(*asked(4096), HERE, settings).step is None
