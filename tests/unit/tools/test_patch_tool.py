"""What patch_activations plans and refuses before any model is opened, and what it offers next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab import errors
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.patch_activations import PatchRequest
from interp_lab.contracts.patch_report import PatchReport
from interp_lab.corpus.catalogue import load_preset
from interp_lab.reports.patching import render_patching, render_patching_markdown
from interp_lab.settings import Settings
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab
from interp_lab_tools.patch_activations import PATCH_ACTIVATIONS, suggest
from tests.unit.reports.test_html_report import agrees, looked_up, tree
from tests.unit.workflows.memory.past_runs import intervene_report

EXAMPLE = dict(PATCH_ACTIVATIONS.example)
HOSTILE = '</script><img src=x onerror=alert(1)> | "'


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def plan(lab: Lab, **options: Any) -> dict[str, Any]:
    view = dispatch(lab, "patch_activations", {**EXAMPLE, **options})
    assert isinstance(view, JobView)
    assert view.state == "planned"
    assert view.plan is not None
    assert len(view.model_dump_json()) < 4000
    return dict(view.plan)


def test_a_plan_says_pairs_passes_and_seconds_and_halves_with_one_way(lab: Lab) -> None:
    both, one = plan(lab), plan(lab, ways=["denoising"])
    assert both["n_pairs"] == 64
    assert both["n_passes"] == 2 * one["n_passes"] > 0
    assert both["seconds"] > 0
    assert plan(lab, components=["heads"])["n_cells"] < both["n_cells"]


def test_prompts_without_pairs_are_refused_before_any_work(lab: Lab) -> None:
    with pytest.raises(errors.ImpossibleEdit, match="pair"):
        plan(lab, dataset="builtin:python-code")


def pairs(*sides: tuple[str, str]) -> dict[str, Any]:
    rows = [
        {"text": text, "score": score, "pair": f"pair-{number}"}
        for number, both in enumerate(sides)
        for text, score in zip(both, (1.0, 0.0), strict=True)
    ]
    return {"prompts": rows}


def test_a_plan_counts_only_pairs_that_have_as_many_tokens_and_says_how_many_are_left_out(lab: Lab) -> None:
    fits, other = ("It was day 3.", "It was day 7."), ("It was 3.", "It was a poor film at best.")
    found = plan(lab, dataset=pairs(fits, other))
    assert found["n_pairs"] == 1
    assert any("1 (other length)" in line for line in found["advisories"])
    assert not any("left out" in line for line in plan(lab, dataset=pairs(fits))["advisories"])


def test_pairs_none_of_which_lines_up_are_refused_before_any_work(lab: Lab) -> None:
    with pytest.raises(errors.ImpossibleEdit, match="other length in 1"):
        plan(lab, dataset=pairs(("It was 3.", "It was a poor film at best.")))


def test_pairs_of_one_template_are_planned_token_by_token_and_others_by_role(lab: Lab) -> None:
    same = [(f"{name} was day 3.", f"{name} was day 7.") for name in ("It", "it")]
    unlike = [*same, ("They say that it was day 3.", "They say that it was day 7.")]
    assert plan(lab, dataset=pairs(*same))["n_cells"] > plan(lab, dataset=pairs(*unlike))["n_cells"]


def report(status: str, **changes: Any) -> PatchReport:
    base = intervene_report([])
    held = {"low": 0.2, "high": 0.6, "method": "t"}
    cell = {
        "component": "heads", "layer": 1, "column": "2", "way": "noising", "explore_share": 0.5, "share": 0.4,
        "share_interval": held, "control": 0.01, "beyond_control": held, "q_value": 0.01, "sign_consistency": 0.9,
        "status": status,
    }  # fmt: skip
    bare = {**cell, "component": "mlp_out", "column": HOSTILE, "status": "unconfirmed"} | dict.fromkeys(
        ("share", "share_interval", "control", "beyond_control", "q_value", "sign_consistency")
    )
    values = {
        "criterion": HOSTILE, "headline": HOSTILE, "model": base.model, "dataset": base.dataset, "targets": [HOSTILE],
        "alternatives": ["b"], "target_tokens": "given", "clean": 1.5, "corrupt": -0.5, "difference_interval": held,
        "n_explore": 6, "n_confirm": 5, "n_groups": 5, "left_out": {"other length": 3}, "column_kind": "tokens",
        "example": [HOSTILE, "x"], "cells": [cell, bare], "n_controls": 4, "n_runs": 99, "caveats": [HOSTILE],
        "maps": [{"component": "heads", "way": "noising", "layers": [0, 1], "columns": ["0", HOSTILE],
                  "share": [[0.0, 0.25], [1.0, -0.125]]}],
        "agent_next_actions": [], "run": base.run,
    }  # fmt: skip
    return PatchReport.model_validate(values | changes)


def test_the_heads_that_carry_it_lead_to_an_intervention_on_them_and_others_do_not() -> None:
    request = PatchRequest.model_validate({**EXAMPLE, "targets": [" good"], "alternatives": [" bad"]})
    (action,) = suggest(request, report("carries"))
    asked = InterveneRequest.model_validate(action.arguments)
    assert [(str(unit.address), unit.head) for unit in asked.units] == [("z.1", 2)]
    assert asked.targets == (" good",)
    assert [action.tool for action in suggest(request, report("like_controls"))] == ["dossier"]
    inline = {"prompts": [{"text": "a", "score": 1, "pair": "p"}, {"text": "b", "score": 0, "pair": "p"}]}
    assert suggest(PatchRequest.model_validate({**EXAMPLE, "dataset": inline}), report("carries")) == ()


def test_an_inspection_offered_instead_pools_as_the_set_in_the_box_says() -> None:
    flag = {"code": "does_not_move", "text": "No patch moves the words."}
    (action,) = suggest(PatchRequest.model_validate(EXAMPLE), report("like_controls", flags=[flag]))
    assert action.tool == "inspect"
    assert InspectRequest.model_validate(action.arguments).pooling == load_preset("positive-sentiment").pooling


def test_every_number_of_the_page_is_the_reports_and_texts_stay_text() -> None:
    made = report("carries")
    html = render_patching(made)
    page, values = tree(html), made.model_dump(mode="json")
    marked = [e for e in page.iter() if e.get("data-at") and e.tag.rpartition("}")[2] == "span"]
    assert len(marked) > 15
    assert all(agrees("".join(e.itertext()), looked_up(values, e.get("data-at") or "")) for e in marked)
    assert "onerror=alert(1)>" not in html
    assert "\\<img" in render_patching_markdown(made)
