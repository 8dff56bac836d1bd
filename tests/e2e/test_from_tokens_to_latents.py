"""The way from a corpus to ranked latents, by real jobs, following the calls that each answer hands out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.jobs import JobView
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.lab import Lab

TOOLSETS = frozenset(capability.toolset for capability in CAPABILITIES)
MODEL, PLACE = "builtin:pocket-llama", "resid_post.2"


def done(lab: Lab, tool: str, arguments: dict[str, Any]) -> JobView:
    view = call(lab, tool, arguments | {"wait_s": 45})
    while isinstance(view, JobView) and view.state in {"queued", "starting", "running"}:
        view = call(lab, "job_wait", {"job_id": view.job_id, "wait_s": 45})
    assert isinstance(view, JobView)
    assert view.state == "succeeded", view.summary
    for action in view.agent_next_actions:
        BY_NAME[action.tool].request.model_validate(action.arguments)
    return view


def wanted_without_top(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if name != "top_k"}


def follow(view: JobView, tool: str) -> dict[str, Any]:
    (action,) = [action for action in view.agent_next_actions if action.tool == tool]
    return {name: value for name, value in action.arguments.items() if name != "dry_run"}


@pytest.mark.guarantee("next-actions-are-valid")
def test_an_agent_gets_from_a_corpus_to_ranked_latents_by_the_calls_it_is_handed(tmp_path: Path) -> None:
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0), TOOLSETS) as lab:
        store = done(lab, "harvest", {"model": MODEL, "dataset": "builtin:question", "addresses": [PLACE]})
        overview = call(lab, "query_activations", follow(store, "query_activations"))
        assert PLACE in overview.model_dump_json()
        few = {"training": {"total_tokens": 20_000, "batch_tokens": 1024}, "widths": [256], "sparsities": [8]}
        dry = call(lab, "train_sae", follow(store, "train_sae") | few | {"dry_run": True})
        assert isinstance(dry, JobView)
        trained = done(lab, "train_sae", follow(dry, "train_sae"))
        assert "<b>finished</b>" in str(lab.engine.live_page(str(trained.job_id)))
        assert lab.engine.live_page(str(store.job_id)) is None
        (dictionary,) = [artifact for artifact in trained.artifacts if artifact.kind == "dictionary"]
        encoded = done(lab, "encode_store", follow(trained, "encode_store"))
        (column,) = encoded.result["columns"]  # type: ignore[index,misc]
        assert column["key"].startswith(f"{PLACE}/")  # type: ignore[index,call-overload,union-attr]
        assert call(lab, "search_features", follow(encoded, "search_features")).summary
        asked = follow(encoded, "query_activations") | {"query": {"kind": "units", "column": column["key"]}}  # type: ignore[index,call-overload]
        assert call(lab, "query_activations", asked).summary
        wanted = {"model": MODEL, "criterion": "a question is asked", "dataset": "builtin:question", "top_k": 3}
        ranked = done(lab, "inspect", wanted | {"dictionaries": [dictionary.id]})
        assert ranked.result["n_tested"] == 256  # type: ignore[index]
        assert {row["address"] for row in ranked.result["ranking"]} == {f"{PLACE}/topk-256"}  # type: ignore[index,call-overload,union-attr]
        (report,) = [artifact for artifact in ranked.artifacts if artifact.kind == "inspect_report"]
        planned = call(lab, "intervene", {**wanted_without_top(wanted), "report": report.id})
        assert planned.plan["units"] == [f"{PLACE}/topk-256 #{ranked.result['ranking'][0]['index']}"]  # type: ignore[index,call-overload,union-attr]
        listed = call(lab, "lab_overview", {"sections": ["stores", "dictionaries"]}).model_dump()
        assert [artifact["id"] for artifact in listed["dictionaries"]] == [dictionary.id]
        assert len(listed["stores"]) == 2
