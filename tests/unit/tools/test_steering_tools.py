"""What the steering tools plan and refuse before any model is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file  # pyright: ignore[reportUnknownVariableType]

from interp_lab import errors
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.steer import SteerRequest
from interp_lab.contracts.steering_vector import MakeSteeringVectorRequest
from interp_lab.settings import Settings
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab
from interp_lab_tools.make_steering_vector import MAKE_STEERING_VECTOR, suggest
from interp_lab_tools.steer import STEER
from interp_lab_tools.steer import suggest as after_steering
from tests.unit.reports.test_steering_page import report


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    folder = tmp_path / "directions" / "person-name"
    folder.mkdir(parents=True)
    save_file({"directions": np.ones((1, 128), dtype=np.float32)}, folder / "direction.safetensors")
    (folder / "direction.json").write_text(json.dumps({"address": "resid_post.1"}), encoding="utf-8")
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def plan(lab: Lab, tool: str, **request: object) -> JobView:
    view = dispatch(lab, tool, {**request, "dry_run": True})
    assert isinstance(view, JobView)
    assert view.state == "planned"
    assert view.plan is not None
    return view


def test_the_plan_of_a_steer_run_counts_its_texts(lab: Lab) -> None:
    few = plan(lab, "steer", **STEER.example, strengths=[0.5], n_controls=1, max_prompts=4, max_new_tokens=2).plan
    many = plan(lab, "steer", **STEER.example, strengths=[0.5, 1], n_controls=1, max_prompts=4, max_new_tokens=2).plan
    assert few is not None
    assert many is not None
    assert (few["n_explore"], few["n_confirm"]) == (4, 4)
    assert few["n_texts"] == 3 * 4 + 5 * 4
    assert few["n_tokens"] == 2 * (3 * 4 + 5 * 4)
    assert many["n_texts"] == 5 * 4 + 5 * 4


def test_the_plan_of_a_steer_run_says_what_it_takes_and_more_text_takes_more(lab: Lab) -> None:
    short, long, many = (
        plan(lab, "steer", **STEER.example, strengths=strengths, max_new_tokens=new, max_prompts=12)
        for strengths, new in (([0.5], 4), ([0.5], 64), ([0.1, 0.2, 0.5, 1.0], 4))
    )
    costs: list[Any] = [view.plan for view in (short, long, many)]
    assert all(cost["seconds"] > 0 and cost["peak_bytes"] > 0 for cost in costs)
    assert costs[0]["seconds"] < costs[2]["seconds"] < costs[1]["seconds"]
    assert costs[1]["n_passes"] > 5 * costs[0]["n_passes"]
    assert "MiB" in short.summary


def test_a_direction_of_another_width_is_refused_before_anything_starts(lab: Lab) -> None:
    folder = lab.settings.workspace / "directions" / "person-name"
    save_file({"directions": np.ones((1, 4), dtype=np.float32)}, folder / "direction.safetensors")
    with pytest.raises(errors.ShapeMismatch):
        plan(lab, "steer", **STEER.example)


def test_the_plan_of_a_vector_grows_with_its_prompts_and_with_the_blocks_that_are_read(lab: Lab) -> None:
    def seconds(name: str, **asked: Any) -> float:
        view = plan(lab, "make_steering_vector", **{**MAKE_STEERING_VECTOR.example, **asked, "dataset": name})
        found: Any = view.plan
        return float(found["seconds"])

    first = {"source": {"kind": "contrast", "addresses": ["resid_post.0"]}}
    assert seconds("builtin:refusal", **first) < seconds("builtin:refusal")
    assert seconds("builtin:person-name") < seconds("builtin:refusal")


def test_the_plan_of_a_vector_says_where_it_looks(lab: Lab) -> None:
    made = plan(lab, "make_steering_vector", **MAKE_STEERING_VECTOR.example)
    assert "every layer but the last" in made.summary


def test_a_folder_without_a_direction_is_refused_before_anything_starts(lab: Lab) -> None:
    with pytest.raises(errors.LabError):
        plan(lab, "steer", **{**STEER.example, "vector": "directions/nothing"})
    source = {"kind": "latent", "dictionary": "directions/nothing", "index": 0}
    with pytest.raises(errors.LabError):
        plan(lab, "make_steering_vector", **{**MAKE_STEERING_VECTOR.example, "source": source})


def test_a_file_outside_the_workspace_is_refused(lab: Lab) -> None:
    source = {"kind": "file", "path": "/etc/hostname"}
    with pytest.raises(errors.RequestError):
        plan(lab, "make_steering_vector", **{**MAKE_STEERING_VECTOR.example, "source": source})


def test_equal_strengths_are_refused() -> None:
    with pytest.raises(ValidationError, match="differ"):
        SteerRequest.model_validate({**STEER.example, "strengths": [1.0, 1.0]})


def test_a_vector_leads_to_steering_with_it_and_a_latent_to_editing_it_too() -> None:
    request = MakeSteeringVectorRequest.model_validate(MAKE_STEERING_VECTOR.example)
    (action,) = suggest(request, "a" * 64)
    assert action.tool == "steer"
    asked = SteerRequest.model_validate(action.arguments)
    assert (asked.vector, asked.criterion) == ("a" * 64, request.criterion)
    latent = {**MAKE_STEERING_VECTOR.example, "source": {"kind": "latent", "dictionary": "sae", "index": 3}}
    both = suggest(MakeSteeringVectorRequest.model_validate(latent), "a" * 64)
    assert [each.tool for each in both] == ["steer", "intervene"]


@pytest.mark.parametrize(("score", "scorer", "unseen"), [(0.0, "target_share", True), (0.0, "target_logit", False),
                                                         (0.25, "target_share", False)])  # fmt: skip
def test_where_no_text_has_a_target_word_the_logits_of_these_words_are_offered(
    score: float, scorer: str, unseen: bool
) -> None:
    request = SteerRequest.model_validate(STEER.example)
    arms = tuple(arm.model_copy(update={"score": score}) for arm in report().arms)
    (action,) = after_steering(request, report().model_copy(update={"arms": arms, "scorer": scorer}))
    assert (action.arguments.get("scorer") == "target_logit") is unseen
    assert (action.tool == "steer") is unseen
