"""Paths by real jobs: traced, rerun on held-out prompts, refused on others, fused into a graph and read in short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.attribution_graph import SummarizeGraphResult
from interp_lab.contracts.criterion_graph import CriterionGraph, CriterionGraphResult
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.settings import Settings
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.lab import Lab

TOOLSETS = frozenset(capability.toolset for capability in CAPABILITIES)
CRITERION = "the planted trigger"


def ended(lab: Lab, tool: str, arguments: dict[str, Any]) -> JobView:
    view = call(lab, tool, arguments | {"wait_s": 45})
    while isinstance(view, JobView) and view.state in {"queued", "starting", "running"}:
        view = call(lab, "job_wait", {"job_id": view.job_id, "wait_s": 45})
    assert isinstance(view, JobView)
    for action in view.agent_next_actions:
        BY_NAME[action.tool].request.model_validate(action.arguments)
    return view


def artifact(view: JobView, kind: str) -> str:
    assert view.state == "succeeded", view.summary
    return next(one.id for one in view.artifacts if one.kind == kind)


@pytest.mark.guarantee("next-actions-are-valid")
def test_a_traced_path_is_rerun_by_the_call_it_hands_out_and_stands_in_a_graph(tmp_path: Path) -> None:
    world = make_world("planted", 2, base="tiny-gpt2", decoys=("inert", "echo"), prompts=64, confounding=0.5)
    write_world(world, tmp_path)
    truth = world.truth
    assert isinstance(truth, PlantedTruth)
    units = {f.name: {"address": f.address, "direction": f.direction, "name": f.name} for f in truth.features}
    asked: dict[str, Any] = {
        "model": "model", "criterion": CRITERION, "dataset": {"path": "prompts.jsonl"},
        "target_tokens": truth.targets, "alternative_tokens": truth.alternatives, "dry_run": False,
    }  # fmt: skip
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0), TOOLSETS) as lab:
        ends = {"sources": [units["cause"], units["inert"]], "targets": [units["cause_relay"]]}
        traced = ended(lab, "trace_paths", asked | ends | {"behaviour": False})
        trace = artifact(traced, "path_trace")
        (rerun,) = [action for action in traced.agent_next_actions if action.tool == "validate_paths"]
        held = ended(lab, "validate_paths", rerun.arguments)
        validation = artifact(held, "path_validation")
        assert [(p["source"], p["target"], p["status"]) for p in held.result["paths"]] == [  # type: ignore[index,call-overload,union-attr]
            ("cause", "cause_relay", "validated")
        ]
        drawn = json.loads(lab.engine.artifacts.read_file(validation, "graph.json", limit=2**20))
        assert [edge["validation"]["grade"] for edge in drawn["edges"]] == ["validated"]

        reused = ended(lab, "validate_paths", rerun.arguments | {"seed": 1})
        assert reused.state == "failed"
        assert reused.error is not None
        assert reused.error.code == "discovery_rows_reused"

        edited = ended(lab, "intervene", edit_of(asked, truth, units["cause"]))
        fused = call(
            lab,
            "criterion_graph",
            {"reports": [trace, validation, artifact(edited, "intervention_report")], "publish": True},
        )
        assert isinstance(fused, CriterionGraphResult)
        graph = CriterionGraph.model_validate_json(
            lab.engine.artifacts.read_file(fused.artifacts[0].id, "graph.json", limit=2**24)
        )
        rerun_edges = [
            e for e in graph.edges if e.kind == "path" and e.validation is not None and e.validation.n_groups
        ]
        assert [edge.grade for edge in rerun_edges] == ["validated"]
        assert not graph.candidate_paths
        (effect,) = [edge for edge in graph.edges if edge.kind == "effect"]
        assert effect.source == rerun_edges[0].source, "the same direction is one node in every report"
        (read,) = [action for action in fused.agent_next_actions if action.tool == "summarize_graph"]
        told = call(lab, "summarize_graph", read.arguments | {"node": effect.source})
        assert isinstance(told, SummarizeGraphResult)
        assert told.evidence is not None
        assert {edge.kind for edge in told.evidence.edges} == {"path", "effect"}


def edit_of(asked: dict[str, Any], truth: PlantedTruth, unit: dict[str, Any]) -> dict[str, Any]:
    """The edit of one direction, in the words of intervene."""
    words = {"targets": truth.targets, "alternatives": truth.alternatives}
    kept = {name: value for name, value in asked.items() if name not in ("target_tokens", "alternative_tokens")}
    return kept | words | {"units": [unit], "edits": ["ablate_zero"]}
