"""What attribution_graph plans and refuses before any model is opened, and how a drawn graph is read in short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interp_lab import errors
from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.attribution_graph import (
    AttributionGraphRequest,
    GraphReport,
    SummarizeGraphResult,
)
from interp_lab.settings import Settings
from interp_lab_tools.attribution_graph import ATTRIBUTION_GRAPH, suggest
from interp_lab_tools.catalogue import BY_NAME
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

REQUEST = dict(ATTRIBUTION_GRAPH.example)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def node(name: str, kind: str, **options: Any) -> dict[str, Any]:
    return {
        "id": name, "kind": kind, "position": 0, "layer": None, "index": 3, "dictionary": None, "label": name,
        "activation": None, "probability": None, "influence": 0.5, **options,
    }  # fmt: skip


def report() -> GraphReport:
    nodes = [
        node("E_3_0", "embedding"),
        node("0_7_0", "feature", layer=0, index=7, dictionary="transcoders/layer-0", activation=1.5),
        node("0_1e_0", "error", layer=1, index=None, influence=0.1),
        node("3_9_0", "logit", index=9, probability=0.7),
    ]
    edges = [("0_7_0", "3_9_0", 3.0), ("0_1e_0", "3_9_0", -1.0), ("E_3_0", "0_7_0", 2.0)]
    model = {
        "id": "m", "revision": None, "architecture": None, "n_layers": 2, "d_model": 8, "n_parameters": None,
        "dtype": "float32", "device": "cpu", "weights_sha256": None,
    }  # fmt: skip
    run = {
        "job_id": None, "code_version": "test", "packages": {}, "seed": 0, "seconds": 1.0, "checks": {},
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return GraphReport.model_validate(
        {
            "headline": "A graph of 4 nodes.", "model": model, "prompt": "a", "tokens": ["a"], "dictionaries": [],
            "exact": True, "replacement_score": 0.8, "completeness_score": 0.9, "n_active": 1, "n_considered": 4,
            "nodes": nodes, "edges": [{"source": a, "target": b, "weight": w} for a, b, w in edges], "supernodes": [],
            "node_share": 0.8, "edge_share": 0.98, "caveats": [], "agent_next_actions": [], "run": run,
        }
    )  # fmt: skip


def published(lab: Lab, kind: str = "attribution_graph") -> str:
    origin = Origin(
        job=None, attempt=0, started=datetime(2026, 1, 1, tzinfo=UTC), code_version="test", inputs={}, spec={}
    )
    with lab.engine.inline.artifact(kind, "a graph", origin) as files:
        files.write_json("graph.json", report().model_dump(mode="json"))
    return files.manifest.id


def test_a_graph_in_short_has_its_strongest_path_and_a_nodes_neighbours(lab: Lab) -> None:
    found = dispatch(lab, "summarize_graph", {"graph": published(lab), "node": "3_9_0"})
    assert isinstance(found, SummarizeGraphResult)
    assert len(found.model_dump_json()) < 4000
    best, second = found.graph.paths
    assert best.nodes == ("E_3_0", "0_7_0", "3_9_0")
    assert (best.share, second.share) == (0.75, 0.25)
    assert [edge.source for edge in found.inputs] == ["0_7_0", "0_1e_0"]
    assert found.outputs == ()


def test_what_a_graph_suggests_can_be_called(lab: Lab) -> None:
    for action in suggest(report(), published(lab)):
        BY_NAME[action.tool].request.model_validate(action.arguments)


def test_a_node_that_is_not_there_and_an_artifact_of_another_kind_are_refused(lab: Lab) -> None:
    with pytest.raises(errors.InvalidRequest, match="no node"):
        dispatch(lab, "summarize_graph", {"graph": published(lab), "node": "9_9_9"})
    with pytest.raises(errors.InvalidRequest, match="wanted is attribution_graph or criterion_graph"):
        dispatch(lab, "summarize_graph", {"graph": published(lab, "circuit")})


@pytest.mark.parametrize("change", [{"dictionaries": []}, {"prompt": ""}, {"node_share": 0}, {"max_features": 0}])
def test_a_graph_without_a_prompt_or_dictionaries_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AttributionGraphRequest.model_validate({**REQUEST, **change})


def test_a_dictionary_that_is_not_there_is_refused_before_anything_runs(lab: Lab) -> None:
    with pytest.raises(errors.LabError):
        dispatch(lab, "attribution_graph", REQUEST)
