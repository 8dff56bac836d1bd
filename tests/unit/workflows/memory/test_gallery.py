"""The gallery: every page of the workspace once, links that lead somewhere, text that stays text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from interp_lab import errors
from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.attribution_graph import GraphReport
from interp_lab.contracts.calibration_report import CalibrationReport
from interp_lab.contracts.circuit_report import CircuitReport
from interp_lab.contracts.compare import ComparisonReport
from interp_lab.contracts.criterion_graph import CriterionGraph
from interp_lab.contracts.diff_models import ModelDiffReport
from interp_lab.contracts.dossier import Dossier
from interp_lab.contracts.evaluation_report import EvaluationReport
from interp_lab.contracts.feature_families import FamiliesReport
from interp_lab.contracts.features import ShowFeatureResult
from interp_lab.contracts.gallery import GalleryResult
from interp_lab.contracts.patch_report import PatchReport
from interp_lab.contracts.path_report import PathReport
from interp_lab.contracts.steer import STEER_KIND, SteerReport
from interp_lab.contracts.train_sae import TrainingReport
from interp_lab.reports.html import render_html
from interp_lab.reports.intervention import render_intervention
from interp_lab.settings import Settings
from interp_lab.workflows.gallery_drawings import SOURCES, drawn_of
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES, offered
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory import past_runs
from tests.unit.workflows.memory.past_runs import (
    CRITERION,
    MODEL,
    card,
    edit_card,
    inspect_report,
    intervene_report,
    unit_card,
    workspace,
)

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
HOSTILE = '</a><script>alert(1)</script>"\u202e{{ 1 }}'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def publish(settings: Settings, report: Any, **options: Any) -> str:
    """Publish a report with its page."""
    pages = {"report.html": render_html(report) if hasattr(report, "layers") else render_intervention(report)}
    return past_runs.publish(settings, report, texts=pages, **options)


def gallery(settings: Settings, **options: Any) -> tuple[GalleryResult, str]:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "gallery", options)
    assert isinstance(answer, GalleryResult)
    return answer, (settings.workspace / answer.path).read_text(encoding="utf-8")


def links(page: str) -> list[str]:
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    return [e.get("href", "") for tile in root.iter("article") for e in tile.iter("a")]


def test_every_page_is_there_once_latest_first_and_every_link_leads_to_it(settings: Settings) -> None:
    first = publish(settings, inspect_report([card(1, 5, "plausible")]))
    second = publish(settings, intervene_report([unit_card("u", "validated", [edit_card(1.0)])]), at=5)
    with Lab.open(settings, ALL) as lab:
        call(lab, "dossier", {"model": MODEL, "criterion": CRITERION, "publish": True})
    answer, page = gallery(settings)
    assert answer.kinds == {"dossier": 1, "intervention_report": 1, "inspect_report": 1}
    found = links(page)
    assert [link.split("/")[2] for link in found[1:]] == [second, first]
    folder = (settings.workspace / answer.path).parent
    for link in found:
        assert (folder / link).is_file()
    assert "validated" in page
    assert f"interp-lab://artifacts/{first}/report.html" in page


def test_a_gallery_leaves_itself_and_pageless_artifacts_out_and_keeps_to_what_was_asked(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    past_runs.publish(settings, inspect_report([card(1, 6, "plausible")]), at=1)
    publish(settings, intervene_report([unit_card("u", "plausible", [edit_card(0.1, q=0.5)])]), at=2)
    gallery(settings)
    assert gallery(settings)[0].n_pages == 2
    only, page = gallery(settings, kinds=["inspect_report"])
    assert only.n_pages == 1
    short, _ = gallery(settings, limit=1)
    assert (short.n_pages, short.n_left_out) == (1, 1)
    assert "1 older pages" in short.warnings[0]
    assert len(links(page)) == 1


def test_an_empty_workspace_has_an_empty_gallery(settings: Settings) -> None:
    answer, page = gallery(settings)
    assert answer.n_pages == 0
    assert "no page yet" in page


def test_text_of_others_stays_text_and_nothing_is_loaded(settings: Settings) -> None:
    report = inspect_report([card(1, 5, "plausible")]).model_copy(update={"criterion": HOSTILE, "headline": HOSTILE})
    publish(settings, report, investigator=HOSTILE)
    _, page = gallery(settings)
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    assert [e for e in root.iter("script") if "alert" in (e.text or "")] == []
    assert "alert(1)" in "".join(root.itertext())
    assert "\u202e" not in page
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)


def test_a_flagged_report_is_marked(settings: Settings) -> None:
    report = inspect_report([card(1, 5, "plausible")])
    flagged = report.audit.model_copy(update={"flagged": True})
    publish(settings, report.model_copy(update={"audit": flagged}))
    assert "flagged:" in gallery(settings)[1]


def test_a_read_only_lab_does_not_offer_it(settings: Settings) -> None:
    assert "gallery" not in {c.name for c in offered(ALL, read_only=True)}
    with Lab.open(settings, ALL) as lab, pytest.raises(errors.InvalidRequest):
        call(lab, "gallery", {"limit": 0})


@pytest.mark.parametrize(
    ("report", "shown"),
    [('{"headline": "2 of 9 pairs are alike."}', True), ('{"headline": 5}', False), ("{", False), (None, False)],
)
def test_a_report_of_another_kind_shows_what_it_says_of_itself_and_a_broken_one_only_its_title(
    settings: Settings, report: str | None, shown: bool
) -> None:
    origin = Origin(job=None, attempt=0, started=past_runs.START, code_version="test", spec={"capability": "compare"})
    with (
        Lab.open(settings, ALL) as lab,
        lab.engine.inline.artifact("comparison", "one beside another", origin) as files,
    ):
        files.write_text("report.html", "<!DOCTYPE html><title>x</title>")
        if report is not None:
            files.write_text("report.json", report)
    answer, page = gallery(settings)
    assert answer.kinds == {"comparison": 1}
    assert "one beside another" in page
    assert ("2 of 9 pairs are alike." in page) is shown


@pytest.mark.parametrize(
    ("report", "badges"),
    [
        ('{"headline": "x", "grade": "validated", "rows": [{"grade": "weak"}]}', ["validated"]),
        (
            '{"headline": "x", "paths": [{"grade": "weak"}, {"grade": "plausible"}, {"grade": "<b>"}]}',
            ["plausible", "weak"],
        ),
        ('{"headline": "x", "grade": 5, "paths": [{"grade": ["weak"]}, 3]}', []),
    ],
)
def test_a_report_of_another_kind_shows_the_grades_that_it_gives(
    settings: Settings, report: str, badges: list[str]
) -> None:
    origin = Origin(job=None, attempt=0, started=past_runs.START, code_version="test", spec={"capability": "compare"})
    with (
        Lab.open(settings, ALL) as lab,
        lab.engine.inline.artifact("circuit_report", "a circuit", origin) as files,
    ):
        files.write_text("report.html", "<!DOCTYPE html><title>x</title>")
        files.write_text("report.json", report)
    _, page = gallery(settings)
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    found = ["".join(e.itertext()) for e in root.iter("p") if e.get("class") == "badges"]
    assert len(found) == bool(badges)
    assert all(badge in found[0] for badge in badges)
    assert "<b>" not in "".join(found)


RECORDED: dict[str, type[BaseModel]] = {
    "steer_report": SteerReport, "patch_report": PatchReport, "path_trace": PathReport, "path_validation": PathReport,
    "circuit": CircuitReport, "comparison": ComparisonReport, "model_diff": ModelDiffReport,
    "evaluation_report": EvaluationReport, "training_report": TrainingReport, "feature_families": FamiliesReport,
    "calibration_report": CalibrationReport, "attribution_graph": GraphReport, "criterion_graph": CriterionGraph,
    "feature_card": ShowFeatureResult, "dossier": Dossier,
}  # fmt: skip


def at(schema: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return the schema of what lies at a path."""
    here = schema
    for step in path:
        options = here.get("anyOf", [here])
        here = next(each for each in options if each.get("type") != "null")
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
        here = here["items"] if step == "*" else here["properties"][step]
    return here


def test_every_kind_of_report_with_a_page_has_something_to_draw_that_its_record_holds() -> None:
    assert set(SOURCES) == set(RECORDED)
    for kind, source in SOURCES.items():
        found = at(RECORDED[kind].model_json_schema(), source.path.split("."))
        assert {"type", "anyOf", "$ref", "enum"} & set(found), (kind, found)


@pytest.mark.parametrize(
    ("kind", "name", "record", "n", "words"),
    [
        ("steer_report", "report.json", {"headline": "h", "doses": [{"gain": 0.1}, {"gain": -0.2}]}, 2, "gain"),
        ("circuit", "report.json", {"headline": "h", "curve": [{"faithfulness": 1.4}]}, 1, "faithfulness"),
        ("path_trace", "report.json", {"paths": [{"confirm": None}, {"confirm": {"mediated": 1}}]}, 1, "mediated"),
        (
            "criterion_graph",
            "graph.json",
            {"headline": "h", "edges": [{"kind": "path"}, {"kind": "effect"}]},
            2,
            "kind",
        ),
        ("feature_card", "card.json", {"summary": "h\nmore", "triggers": [{"share": 0.5}]}, 1, "token"),
        ("figure", "figure.json", {"headline": "h"}, 0, ""),
        ("training_report", "report.json", {"dictionaries": [{"fvu": "many"}, {"fvu": True}, 3]}, 0, ""),
    ],
)
def test_tiles_of_other_kinds_have_their_sentence_and_their_drawing(
    settings: Settings, kind: str, name: str, record: dict[str, Any], n: int, words: str
) -> None:
    origin = Origin(job=None, attempt=0, started=past_runs.START, code_version="test", spec={"capability": "any"})
    with Lab.open(settings, ALL) as lab, lab.engine.inline.artifact(kind, "a title", origin) as files:
        files.write_text("report.html", "<!DOCTYPE html><title>x</title>")
        files.write_json(name, record)
    _, page = gallery(settings)
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    (tile,) = root.iter("article")
    bars = list(tile.iter("rect"))
    assert len(bars) == n
    assert all(0 <= float(bar.get("height", "nan")) <= 28 for bar in bars)
    said = ["".join(e.itertext()) for e in tile.iter("p")]
    assert any(words in line for line in said)
    assert ("h" in said) is bool({"headline", "summary"} & set(record))  # the first line alone


@pytest.mark.parametrize("huge", [10**399, -(10**399)])
def test_a_number_that_nothing_can_draw_is_left_out(huge: int) -> None:
    drawn = drawn_of(STEER_KIND, {"doses": [{"gain": huge}, {"gain": 0.5}, {"gain": True}]})
    assert drawn is not None
    assert drawn.values == (0.5,)
