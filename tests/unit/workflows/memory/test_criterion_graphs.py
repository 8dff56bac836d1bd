"""criterion_graph: reports fused, kinds of evidence kept apart, redundancy grouped, other questions refused."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from interp_lab import errors
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.attribution_graph import SummarizeGraphResult
from interp_lab.contracts.criterion_graph import (
    CriterionGraph,
    CriterionGraphRequest,
    CriterionGraphResult,
    EvidenceNode,
)
from interp_lab.contracts.inspect_report import DatasetFacts, InspectReport
from interp_lab.contracts.path_report import PathCard, PathReport
from interp_lab.reports.criterion_graph import render_criterion_graph, render_criterion_graph_markdown
from interp_lab.settings import Settings
from interp_lab.workflows.criterion_graph import criterion_graph
from interp_lab.workflows.memory.evidence_edges import Fused, add_paths, open_candidates, settled
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import (
    card,
    edit_card,
    inspect_report,
    intervene_report,
    publish,
    sha,
    unit_card,
    workspace,
)

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
ALIKE = {
    "ways": [],
    "comparison": {"best": "untested", "other": None, "difference": None, "interval": None, "text": "not compared"},
    "alike": [
        {
            "leader": "resid_post.2 #5",
            "members": [{"name": "resid_post.2 #9", "correlation": 0.97, "firing": 0.9, "decoder_cosine": None}],
            "n_members": 1,
        }
    ],
    "n_compared": 2,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def fuse(settings: Settings, *reports: str, **options: Any) -> CriterionGraphResult:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "criterion_graph", {"reports": list(reports), **options})
    assert isinstance(answer, CriterionGraphResult)
    assert len(answer.model_dump_json()) < 20_000
    return answer


def inspected(settings: Settings, **options: Any) -> str:
    report = inspect_report([card(1, 5, "plausible"), card(2, 9, "plausible", auroc=0.8)], **options)
    return publish(settings, InspectReport.model_validate(report.model_dump() | {"handles": ALIKE}))


def test_the_same_unit_of_two_reports_is_one_node_with_two_kinds_of_edge(settings: Settings) -> None:
    edited = publish(settings, intervene_report([unit_card("resid_post.2 #5", "validated", [edit_card(-0.7)])]))
    found = fuse(settings, inspected(settings), edited)
    kinds = {(edge.source, edge.target, edge.kind): edge for edge in found.edges}
    assert kinds["resid_post.2#5", "criterion", "association"].grade == "plausible"
    effect = kinds["resid_post.2#5", "output", "effect"]
    assert (effect.weight, effect.grade, effect.part) == (-0.7, "validated", "confirm")
    assert sum(node.id == "resid_post.2#5" for node in found.nodes) == 1
    assert "1 of 1 effects are validated" in found.summary


def test_a_unit_that_was_taken_from_a_report_that_is_not_named_is_still_one_node(settings: Settings) -> None:
    source = inspected(settings)
    units = [unit_card("resid_post.2 #5", "weak", [edit_card(-0.7)])]
    edited = publish(settings, intervene_report(units), request={"report": source, "ranks": [1]}, at=2)
    again = publish(settings, inspect_report([card(1, 5, "weak")]), at=3)
    found = fuse(settings, again, edited)
    assert {edge.source for edge in found.edges if edge.kind == "effect"} <= {
        edge.source for edge in found.edges if edge.kind == "association"
    }


def unconfirmed() -> dict[str, Any]:
    return edit_card(-0.9) | {"confirm": None}


SHORT_OF_THE_RULE: dict[str, dict[str, Any]] = {
    "not run on confirm prompts": unconfirmed(),
    "q above the level": edit_card(-0.9, q=0.06),
    "q above the level after an earlier look": edit_card(-0.9, q=0.02),
    "an interval around 0": edit_card(-0.9, half=1.0),
    "another sign than on explore prompts": edit_card(-0.9) | {"confirm": edit_card(0.9)["confirm"]},
    "side effects": edit_card(-0.9) | {"side_effects": edit_card(-0.9)["side_effects"] | {"bound": 0.09}},
}


@pytest.mark.parametrize("what", SHORT_OF_THE_RULE)
def test_the_number_beside_a_validated_grade_is_of_an_edit_that_earned_it(settings: Settings, what: str) -> None:
    edits = [SHORT_OF_THE_RULE[what], edit_card(-0.6, name="suppress"), edit_card(-0.5, name="clamp")]
    report = intervene_report([unit_card("resid_post.2 #5", "validated", edits)])
    report = report.model_copy(update={"earlier_looks": {"resid_post.2 #5": 1}})
    (edge,) = fuse(settings, publish(settings, report)).edges
    assert (edge.weight, edge.grade, edge.part) == (-0.6, "validated", "confirm")


def test_of_a_unit_that_is_not_validated_the_clearest_effect_is_drawn(settings: Settings) -> None:
    edits = [edit_card(-0.9, q=0.06), edit_card(-0.6, name="suppress")]
    edited = publish(settings, intervene_report([unit_card("resid_post.2 #5", "needs_causal_evidence", edits)]))
    (edge,) = fuse(settings, edited).edges
    assert edge.weight == -0.9


def test_the_number_of_an_effect_within_its_controls_is_the_estimate_of_its_interval(settings: Settings) -> None:
    edit = edit_card(0.154, q=1.0, half=0.113)
    edit["confirm"] |= {"control": 0.016, "difference": 0.0}
    edit["confirm"]["difference_interval"] = {"low": -0.341, "high": 0.649, "method": "test"}
    edited = publish(settings, intervene_report([unit_card("resid_post.2 #5", "weak", [edit])]))
    (edge,) = fuse(settings, edited).edges
    assert (edge.weight, edge.interval, edge.control) == (0.154, pytest.approx((0.041, 0.267)), 0.016)
    request = CriterionGraphRequest(reports=(edited,))
    graph = criterion_graph(request, settings=settings, code_version="test")
    assert "0.154 [0.0410, 0.267]; controls 0.0160" in render_criterion_graph_markdown(graph)
    assert "0.154 [0.0410, 0.267]; controls 0.0160" in render_criterion_graph(graph)


def test_units_that_say_the_same_are_one_supernode_and_never_graded(settings: Settings) -> None:
    found = fuse(settings, inspected(settings))
    (group,) = found.supernodes
    assert group.members == ("resid_post.2#5", "resid_post.2#9")
    (edge,) = [edge for edge in found.edges if edge.kind == "co_activation"]
    assert (edge.weight, edge.grade) == (0.97, None)
    assert any("no intervention" in sentence for sentence in found.mechanism_summary)


def test_only_the_kinds_asked_for_are_drawn(settings: Settings) -> None:
    found = fuse(settings, inspected(settings), kinds=["co_activation"])
    assert {edge.kind for edge in found.edges} == {"co_activation"}


def test_association_is_never_called_an_effect(settings: Settings) -> None:
    found = fuse(settings, inspected(settings))
    assert "0 of 0 effects are validated" in found.summary
    assert not any("changes the behaviour" in sentence for sentence in found.mechanism_summary)


def test_reports_of_other_weights_are_refused(settings: Settings) -> None:
    one, other = inspected(settings), publish(settings, inspect_report([card(1, 5, "weak")], weights="other"), at=3)
    with pytest.raises(errors.DifferentQuestions):
        fuse(settings, one, other)


def test_a_report_that_does_not_exist_is_refused(settings: Settings) -> None:
    with pytest.raises(errors.UnknownArtifact):
        fuse(settings, "0" * 64)


def path_report(part: str, status: str, grade: str, prompts: str = "prompts") -> PathReport:
    interval = {"low": 0.2, "high": 0.4, "method": "t"}
    figures: dict[str, Any] = {
        "part": part, "n_prompts": 20, "n_groups": 12, "total": 0.4, "passed_along": 0.1, "mediated": 0.3,
        "mediated_interval": interval, "direct": None, "share": 0.2, "controls": [], "beyond_control": interval,
        "p_value": 0.01, "q_value": 0.02, "sign_consistency": 0.9, "behaviour": None,
    }  # fmt: skip
    ends = [
        {"key": f"{address}#5", "address": address, "unit": {"address": address, "index": 5}}
        for address in ("resid_post.1", "resid_post.2")
    ]  # fmt: skip
    path: dict[str, Any] = {
        "source": ends[0], "target": ends[1], "explore": figures if part == "explore" else None,
        "confirm": figures if part == "confirm" else None, "doses": [], "off_positives": None, "off_bound": None,
        "status": status, "grade": grade, "reasons": [], "next_action": None,
    }  # fmt: skip
    facts = DatasetFacts.model_construct(name="prompts", sha256=sha(prompts))
    return PathReport.model_construct(paths=(PathCard.model_validate(path),), dataset=facts)


def test_a_candidate_stays_one_until_a_report_has_rerun_it() -> None:
    fused = Fused(str)
    add_paths(fused, "a" * 64, path_report("explore", "candidate", "plausible"))
    (path,) = open_candidates(fused)
    assert path.nodes == ("resid_post.1#5", "resid_post.2#5")
    add_paths(fused, "b" * 64, path_report("confirm", "validated", "validated"))
    assert list(open_candidates(fused)) == []
    held = [edge for edge in fused.edges if edge.validation is not None and edge.validation.n_groups == 12]
    assert [edge.grade for edge in held] == ["validated"]
    assert len(fused.edges) == 2
    assert list(settled(fused.edges)) == held, "the rerun is attached to the path, which is drawn once"


def test_a_rerun_on_other_prompts_settles_no_candidate_and_stays_apart() -> None:
    fused = Fused(str)
    add_paths(fused, "a" * 64, path_report("explore", "candidate", "plausible"))
    add_paths(fused, "b" * 64, path_report("confirm", "validated", "validated", prompts="others"))
    assert [path.report for path in open_candidates(fused)] == ["a" * 64]
    assert list(settled(fused.edges)) == fused.edges
    assert len({edge.prompts for edge in fused.edges}) == 2


def test_reports_of_two_prompt_sets_are_not_told_as_one(settings: Settings) -> None:
    units = [unit_card("resid_post.2 #5", "validated", [edit_card(-0.7)])]
    here = publish(settings, intervene_report(units), at=2)
    there = publish(settings, intervene_report(units, dataset="person-name-2"), at=3)
    found = fuse(settings, inspected(settings), here, there)
    assert found.n_prompt_sets == 2
    assert found.summary.startswith("Over 2 prompt sets, which are not pooled: ")
    assert any("person-name-2" in warning and "stay apart" in warning for warning in found.warnings)
    effects = [edge for edge in found.edges if edge.kind == "effect"]
    assert len(effects) == 2
    assert {edge.prompts for edge in effects} == {sha("person-name")[:12], sha("person-name-2")[:12]}


def test_reports_of_one_prompt_set_are_told_without_that_caveat(settings: Settings) -> None:
    units = [unit_card("resid_post.2 #5", "validated", [edit_card(-0.7)])]
    found = fuse(settings, inspected(settings), publish(settings, intervene_report(units), at=2))
    assert found.n_prompt_sets == 1
    assert not found.summary.startswith("Over")
    assert found.warnings == ()


def test_other_halves_of_one_prompt_set_and_other_behaviours_are_said(settings: Settings) -> None:
    units = [unit_card("resid_post.2 #5", "validated", [edit_card(-0.7)])]
    one = intervene_report(units)
    other = intervene_report(units, seed=4, targets=[" rain"])
    found = fuse(settings, publish(settings, one, at=2), publish(settings, other, at=3))
    assert any("seeds 0, 4" in warning for warning in found.warnings)
    assert any("2 behaviours" in warning and "rain" in warning for warning in found.warnings)


def published(settings: Settings, *reports: str, **options: Any) -> tuple[CriterionGraphResult, dict[str, bytes]]:
    found = fuse(settings, *reports, publish=True, **options)
    store = ArtifactStore(WorkspacePaths.of(settings))
    (artifact,) = found.artifacts
    return found, {f.name: store.read_file(artifact.id, f.name, limit=2**24) for f in artifact.files}


def both(settings: Settings) -> tuple[str, str]:
    edited = publish(settings, intervene_report([unit_card("resid_post.2 #5", "validated", [edit_card(-0.7)])]))
    return inspected(settings), edited


def test_a_published_graph_says_the_same_in_every_form(settings: Settings) -> None:
    found, files = published(settings, *both(settings))
    graph = CriterionGraph.model_validate_json(files["graph.json"])
    assert graph.edges == found.edges
    root = ElementTree.fromstring(files["graph.graphml"])
    space = "{http://graphml.graphdrawing.org/xmlns}"
    drawn = [{d.attrib["key"]: d.text for d in edge} for edge in root.iter(f"{space}edge")]
    assert [edge["edge.kind"] for edge in drawn] == [edge.kind for edge in graph.edges]
    assert [float(edge["edge.weight"] or 0) for edge in drawn] == [edge.weight for edge in graph.edges]
    assert "edge.grade" not in next(edge for edge in drawn if edge["edge.kind"] == "co_activation")
    digest = files["report.md"].decode()
    assert all(heading in digest for heading in ("## Effect", "## Association", "## Co-activation"))
    page = files["report.html"].decode()
    assert page.count("<script") == 1
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    shown = json.loads(html.unescape(page.split('data-graph="')[1].split('"')[0]))
    assert [link["style"] for link in shown["links"]] == [edge.kind for edge in graph.edges]
    assert [group["members"] for group in shown["groups"]] == [["resid_post.2#5", "resid_post.2#9"]]


def test_an_edge_that_is_not_validated_is_never_drawn_as_one_that_is(settings: Settings) -> None:
    _, files = published(settings, *both(settings))
    shown = json.loads(html.unescape(files["report.html"].decode().split('data-graph="')[1].split('"')[0]))
    tags = {(link["source"], link["style"]): link["tags"] for link in shown["links"]}
    assert tags["resid_post.2#5", "effect"] == ["held", "validated"]
    assert tags["resid_post.2#5", "association"] == ["open"]
    assert tags["resid_post.2#5", "co_activation"] == ["open"]


def test_units_lead_from_the_left_to_the_criterion_and_the_behaviour(settings: Settings) -> None:
    _, files = published(settings, *both(settings))
    shown = json.loads(html.unescape(files["report.html"].decode().split('data-graph="')[1].split('"')[0]))
    at = {mark["id"]: (mark["x"], mark["y"]) for mark in shown["marks"]}
    ends = [at.pop("criterion"), at.pop("output")]
    assert max(x for x, _ in at.values()) < min(x for x, _ in ends)
    assert ends[0] != ends[1]


@pytest.mark.parametrize(
    ("part", "told"), [("explore", "not rerun (like controls)"), ("confirm", "like controls, 12 groups")]
)
def test_a_path_that_was_not_rerun_is_said_to_be_so(settings: Settings, part: str, told: str) -> None:
    fused = Fused(str)
    add_paths(fused, "a" * 64, path_report(part, "like_controls", "weak"))
    (report,) = both(settings)[1:]
    request = CriterionGraphRequest(reports=(report,))
    graph = criterion_graph(request, settings=settings, code_version="test")
    ends = [
        EvidenceNode(id=f"{address}#5", name=f"{address}#5", kind="unit", address=address)
        for address in ("resid_post.1", "resid_post.2")
    ]
    graph = graph.model_copy(update={"edges": tuple(fused.edges), "nodes": tuple(ends)})
    cell = render_criterion_graph(graph).split('data-label="rerun">')[1].split("</td>")[0]
    assert re.sub("<[^>]*>", "", cell) == told


def test_names_of_units_are_text_in_the_page(settings: Settings) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    ref = {"address": "resid_post.2", "index": 5, "name": hostile}
    card_ = unit_card(hostile, "weak", [edit_card(-0.7)]) | {"ref": ref}
    _, files = published(settings, publish(settings, intervene_report([card_])))
    page = files["report.html"].decode()
    assert "<img" not in page
    assert page.count("<script") == 1
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    ElementTree.fromstring(files["graph.graphml"])


def test_a_published_graph_is_read_in_short_and_by_node(settings: Settings) -> None:
    found, _ = published(settings, *both(settings))
    with Lab.open(settings, ALL) as lab:
        short = call(lab, "summarize_graph", {"graph": found.artifacts[0].id})
        one = call(lab, "summarize_graph", {"graph": found.artifacts[0].id, "node": "resid_post.2#9"})
        with pytest.raises(errors.InvalidRequest, match="no node"):
            call(lab, "summarize_graph", {"graph": found.artifacts[0].id, "node": "resid_post.9#9"})
    assert isinstance(short, SummarizeGraphResult)
    assert isinstance(one, SummarizeGraphResult)
    assert short.evidence is not None
    assert one.evidence is not None
    assert len(short.model_dump_json()) < 6000
    assert {count.kind: (count.n, count.n_validated) for count in short.evidence.counts} == {
        "association": (2, 0), "effect": (1, 1), "co_activation": (1, 0), "path": (0, 0)
    }  # fmt: skip
    assert all("resid_post.2#9" in (edge.source, edge.target) for edge in one.evidence.edges)
    assert short.graph is None


def test_a_graph_is_published_only_where_writing_is_allowed(settings: Settings) -> None:
    report = inspected(settings)
    with Lab.open(settings, ALL, read_only=True) as lab, pytest.raises(errors.ReadOnlyLab):
        call(lab, "criterion_graph", {"reports": [report], "publish": True})
