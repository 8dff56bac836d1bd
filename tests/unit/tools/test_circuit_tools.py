"""What find_circuit plans and refuses before any model is opened, and what it suggests afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interp_lab.contracts.circuit_report import CircuitPoint, RandomCircuits
from interp_lab.contracts.find_circuit import FindCircuitRequest
from interp_lab.contracts.jobs import JobView
from interp_lab.evidence.circuit_grade import CircuitReason, grade_circuit
from interp_lab.settings import Settings
from interp_lab.workflows.circuits.cost import WHAT
from interp_lab.workflows.intervening.cost import Work, record_pace
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.find_circuit import FIND_CIRCUIT
from interp_lab_tools.lab import Lab

REQUEST = dict(FIND_CIRCUIT.example)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def plan(lab: Lab, arguments: dict[str, Any]) -> dict[str, Any]:
    view = dispatch(lab, "find_circuit", arguments)
    assert isinstance(view, JobView)
    assert view.state == "planned"
    assert view.plan is not None
    assert len(view.model_dump_json()) < 4000
    return dict(view.plan)


def test_a_circuit_search_says_edges_passes_and_seconds_first(lab: Lab) -> None:
    found = plan(lab, REQUEST)
    assert found["n_edges"] > 20
    assert found["seconds"] > 0
    assert plan(lab, {**REQUEST, "n_steps": 200})["n_passes"] > found["n_passes"]
    assert "ablated to resample" in found["advisories"][0]


def test_a_plan_learns_from_runs_of_this_model_and_first_from_those_of_its_own_kind(lab: Lab) -> None:
    before = plan(lab, REQUEST)
    request = FindCircuitRequest.model_validate(REQUEST)
    work = Work(n_prompts=1, n_rows=0, macs=0.0, n_written=0)
    record_pace(work, 9.0 * work.seconds, request.model, lab.settings)
    assert plan(lab, REQUEST)["seconds"] == pytest.approx(9.0 * before["seconds"], rel=0.02)
    record_pace(work, 3.0 * work.seconds, request.model, lab.settings, kind=WHAT)
    found = plan(lab, REQUEST)
    assert found["seconds"] == pytest.approx(3.0 * before["seconds"], rel=0.02)
    assert "earlier run" in found["seconds_source"]


def test_more_prompts_steps_and_layers_take_longer(lab: Lab) -> None:
    found = plan(lab, REQUEST)["seconds"]
    assert plan(lab, {**REQUEST, "n_prompts": 128})["seconds"] > 2 * found
    assert plan(lab, {**REQUEST, "n_steps": 100})["seconds"] > found


def test_a_finer_tolerance_takes_longer_until_every_edge_is_tested(lab: Lab) -> None:
    coarse, usual, fine, finest = (
        plan(lab, {**REQUEST, "tolerance": tolerance})["seconds"] for tolerance in (0.1, 0.01, 0.002, 0.0)
    )
    assert coarse < usual < fine < finest
    assert finest == plan(lab, {**REQUEST, "tolerance": 1e-9})["seconds"]


@pytest.mark.parametrize("change", [{"ablation": "noise"}, {"tolerance": -0.1}, {"n_controls": 5}, {"metric": "auroc"}])
def test_a_search_without_a_named_ablation_or_enough_controls_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FindCircuitRequest.model_validate({**REQUEST, **change})


def point(faithfulness: float, low: float, completeness: float, share: float = 0.2) -> CircuitPoint:
    return CircuitPoint.model_validate(
        {
            "n_edges": 4,
            "share": share,
            "faithfulness": faithfulness,
            "faithfulness_interval": {"low": low, "high": faithfulness + 0.1, "method": "t"},
            "completeness": completeness,
        }
    )


@pytest.mark.parametrize(
    ("measured", "p_value", "n_groups", "grade", "reason"),
    [
        (point(0.95, 0.9, 0.1), 0.03, 20, "validated", CircuitReason.CARRIES),
        (point(0.95, 0.9, 0.1), 0.3, 20, "weak", CircuitReason.LIKE_RANDOM),
        (point(0.85, 0.7, 0.1), 0.03, 20, "plausible", CircuitReason.NOT_FAITHFUL),
        (point(2.5, 2.2, 0.1), 0.03, 20, "plausible", CircuitReason.NOT_FAITHFUL),
        (point(0.95, 0.9, 0.9), 0.03, 20, "plausible", CircuitReason.CARRIED_ELSEWHERE),
        (point(0.95, 0.9, 0.1), 0.03, 5, "plausible", CircuitReason.FEW_GROUPS),
        (point(1.0, 1.0, 0.0, share=1.0), 0.03, 20, "weak", CircuitReason.WHOLE_MODEL),
    ],
)
def test_a_circuit_is_validated_only_with_everything_in_place(
    measured: CircuitPoint, p_value: float, n_groups: int, grade: str, reason: CircuitReason
) -> None:
    controls = RandomCircuits(n=39, mean=0.0, largest=0.1, p_value=p_value)
    found = grade_circuit(measured, controls, n_groups=n_groups)
    assert found.grade == grade
    assert reason in found.reasons
