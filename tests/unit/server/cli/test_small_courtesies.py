"""Small things that a person or an agent would trip over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.errors import UnknownDataset, UnknownModel
from interp_lab.settings import Settings
from interp_lab_server.terminal import as_command
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab

ASKED = {"model": "builtin:pocket-llama", "criterion": "a question is asked", "dataset": "builtin:question"}


@pytest.mark.parametrize(
    ("changed", "error", "remedy"),
    [
        ({"model": "pocket-llama"}, UnknownModel, "builtin:pocket-llama"),
        ({"dataset": "question"}, UnknownDataset, "builtin:question"),
    ],
)
def test_a_name_without_its_prefix_is_answered_with_the_right_name(
    tmp_path: Path, changed: dict[str, str], error: type[Exception], remedy: str
) -> None:
    with Lab.open(Settings(workspace=tmp_path)) as lab, pytest.raises(error) as refused:
        call(lab, "inspect", {**ASKED, **changed, "dry_run": True})
    assert remedy in refused.value.remedy  # type: ignore[attr-defined]


@pytest.mark.parametrize("dataset", [{"path": "a.jsonl"}, {"name": "question"}])
def test_a_dataset_object_need_not_repeat_its_kind(dataset: dict[str, str]) -> None:
    request = InspectRequest.model_validate({**ASKED, "dataset": dataset})
    assert request.dataset.kind == ("file" if "path" in dataset else "builtin")


def test_a_printed_command_leaves_out_empty_lists() -> None:
    action = NextAction(tool="inspect", arguments={"addresses": [], "seed": 1}, why="x")
    assert as_command(action) == "interp-lab inspect --seed 1"


def test_a_reader_that_stops_early_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "interp_lab_server", "lab_overview", "--workspace", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=600) == 141
    assert said == b""
