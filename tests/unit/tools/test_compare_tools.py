"""What compare refuses before any model is opened: one model beside itself, where nothing tells its two sides apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab import errors
from interp_lab.contracts.jobs import JobView
from interp_lab.settings import Settings
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

LLAMA = "builtin:pocket-llama"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def planned(lab: Lab, left: dict[str, Any], right: dict[str, Any]) -> JobView:
    asked = {"left": left, "right": right, "criterion": "a person is named", "dataset": "builtin:person-name"}
    view = dispatch(lab, "compare", {**asked, "dry_run": True})
    assert isinstance(view, JobView)
    return view


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"model": {"id": LLAMA, "device": "cpu"}}, {"model": {"id": LLAMA, "dtype": "float32", "device": "cpu"}}),
        ({"model": LLAMA}, {"model": LLAMA, "addresses": ["resid_post.2"]}),
        ({"model": LLAMA, "addresses": ["mlp_out.1", "z.2"]}, {"model": LLAMA, "addresses": ["z.2"]}),
    ],
)
def test_one_place_of_one_model_in_one_format_is_refused_before_work_starts(
    lab: Lab, left: dict[str, Any], right: dict[str, Any]
) -> None:
    with pytest.raises(errors.InvalidRequest, match="its own counterpart"):
        planned(lab, left, right)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_one_model_in_two_number_formats_is_planned_and_the_closer_tool_is_named(lab: Lab, dtype: str) -> None:
    view = planned(lab, {"model": LLAMA}, {"model": {"id": LLAMA, "dtype": dtype}})
    assert view.state == "planned"
    assert "diff_models" in view.model_dump_json()


@pytest.mark.parametrize("model", [LLAMA, {"id": LLAMA, "dtype": "float32", "device": "cpu"}])
def test_two_places_of_one_model_are_planned(lab: Lab, model: Any) -> None:
    one = {"id": LLAMA, "device": "cpu"} if isinstance(model, dict) else LLAMA
    view = planned(lab, {"model": one, "addresses": ["resid_post.1"]}, {"model": model, "addresses": ["resid_post.3"]})
    assert view.state == "planned"
    assert "number formats" not in view.model_dump_json()
