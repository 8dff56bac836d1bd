"""What a plan counts of steering: texts in every arm, token by token, in the passes that the engine makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.steer import SteerRequest
from interp_lab.engine.batches import plan_batches
from interp_lab.engine.harvest import TOKEN_BUDGET
from interp_lab.models.facts import ModelFacts
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import locate
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import Work
from interp_lab.workflows.steering.cost import PASS_TOKENS, Texts, n_batches, n_steered_passes, steer_work, vector_work

MODEL = ModelRef(id="builtin:pocket-gpt2")
PLACE = Address.parse("resid_post.1")


@pytest.fixture(scope="module")
def facts() -> ModelFacts:
    source = locate(MODEL, Settings(workspace=Path("unused"), offline=True))
    assert source is not None
    return preflight(source.directory)


def request(**asked: Any) -> SteerRequest:
    fields = {"model": MODEL, "criterion": "as asked", "dataset": "builtin:person-name", "vector": "v", **asked}
    return SteerRequest.model_validate(fields)


def work(facts: ModelFacts, *, n_confirm: int = 12, **asked: Any) -> Work:
    return steer_work(request(**asked), facts, Texts([20] * 60, [20] * 12, [20] * n_confirm), PLACE)


@pytest.mark.parametrize(
    "lengths", [[], [9], [1000, 900, 300], [7] * 400, [2000, 1500, 40, 40, 30], list(range(1, 90))]
)
def test_batches_are_counted_as_the_engine_makes_them(lengths: list[int]) -> None:
    assert PASS_TOKENS == TOKEN_BUDGET
    assert n_batches(lengths) == len(plan_batches(lengths, TOKEN_BUDGET))


def test_every_strength_adds_two_arms_and_every_control_one(facts: ModelFacts) -> None:
    def macs(**asked: Any) -> float:
        return work(facts, **asked).macs

    one, two, three = (macs(strengths=[0.1 * (i + 1) for i in range(n)], n_controls=2) for n in (1, 2, 3))
    arm = macs(strengths=[0.1], n_controls=3) - one
    assert two - one == pytest.approx(2 * arm)
    assert three - two == pytest.approx(2 * arm)


def test_each_new_token_runs_the_whole_model_twice_once_to_write_and_once_to_read(facts: ModelFacts) -> None:
    few, many = (work(facts, max_new_tokens=n, strengths=[0.4], n_controls=1) for n in (4, 8))
    assert facts.n_vocab is not None
    texts, per_token = 12 * 3 + 12 * 5, 1884160
    assert many.macs - few.macs == pytest.approx(2 * 4 * texts * per_token)


def test_without_confirm_prompts_only_the_strengths_are_written(facts: ModelFacts) -> None:
    assert work(facts, n_confirm=0).macs < work(facts).macs
    asked = request(strengths=[0.4], n_controls=1, max_new_tokens=4)
    assert n_steered_passes(asked, 60, 12, 0) == 3 * 12 * (2 + 4) + 12 + 2 * 60


def test_a_vector_of_an_early_block_runs_no_later_one(facts: ModelFacts) -> None:
    early, late = (vector_work(facts, [20] * 60, [Address("resid_post", layer)]) for layer in (0, 3))
    assert late.macs == pytest.approx(4 * early.macs)
    assert vector_work(facts, [20] * 60, []).macs == late.macs
