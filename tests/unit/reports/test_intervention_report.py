"""The intervention report for people: every number is the report's, plots where there is something, text stays text."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from interp_lab.contracts.base import Interval
from interp_lab.contracts.hypothesis_outcome import HypothesisOutcome
from interp_lab.contracts.inspect_causal import CausalEdit, CausalFigures
from interp_lab.contracts.inspect_report import InspectReport, MapCell, ReasonCode
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.methods.association_map import association_map
from interp_lab.reports.csv_table import inspect_csv, intervention_csv
from interp_lab.reports.html import render_html
from interp_lab.reports.intervention import render_intervention, render_intervention_markdown
from interp_lab.reports.plots import HIGHEST, association_volcano, effect_volcano, forest, upwards
from tests.unit.reports.test_html_report import agrees, looked_up, numbers, text_of, tree
from tests.unit.workflows.memory.past_runs import edit_card, intervene_report, unit_card

HOSTILE = '=1+1</script><img src=x onerror=alert(1)> | "\u202e'


def report(**changes: Any) -> InterveneReport:
    edits = [edit_card(1.2), edit_card(1.6, name="amplify"), edit_card(0.1, q=0.6, name="suppress")]
    edits[0]["doses"] = edits[0]["doses"][1:2]
    units = [
        unit_card("resid_post.2 #5", "validated", edits, ("effect_confirmed",)),
        unit_card(HOSTILE, "plausible", [edit_card(-0.7, name="ablate_mean") | {"confirm": None}]),
    ]
    made = intervene_report(units, targets=[HOSTILE])
    outcome = HypothesisOutcome(
        id="a" * 64, registered_at=datetime(2026, 3, 2, tzinfo=UTC), statement=HOSTILE, unit="resid_post.2 #5",
        verdict="confirmed", size="at_least", value=1.2, low=1.0, high=1.4, least_effect=0.5, q_value=0.001,
        earlier_looks=1, level=0.0125,
    )  # fmt: skip
    return made.model_copy(
        update={"hypothesis": outcome, "earlier_looks": {"resid_post.2 #5": 1}, "caveats": (HOSTILE,)} | changes
    )


def test_every_number_shown_is_the_number_of_the_report() -> None:
    document = report().model_dump(mode="json")
    shown = list(numbers(tree(render_intervention(report()))))
    assert len(shown) > 60
    for pointer, text, _ in shown:
        assert agrees(text, looked_up(document, pointer)), (pointer, text)


def test_every_effect_of_the_report_is_shown_somewhere() -> None:
    shown = {pointer for pointer, _, _ in numbers(tree(render_intervention(report())))}
    for unit, card in enumerate(report().units):
        for place, edit in enumerate(card.edits):
            part = "confirm" if edit.confirm else "explore"
            assert f"/units/{unit}/edits/{place}/{part}/effect" in shown
            for dose in range(len(edit.doses)):
                assert f"/units/{unit}/edits/{place}/doses/{dose}/effect" in shown


def test_text_of_others_stays_text_in_every_format() -> None:
    page = render_intervention(report())
    root = tree(page)
    assert HOSTILE[:8] in text_of(root)
    assert "\u202e" not in page
    assert [e.tag for e in root.iter() if e.tag == "img"] == []
    assert all("onerror" not in name for e in root.iter() for name in e.attrib)
    plain = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", render_intervention_markdown(report()))
    assert not re.search(r"(?<!\\)<img", plain)
    assert "confirmed" in plain


def test_doses_are_drawn_where_there_are_several_and_only_there() -> None:
    root = tree(render_intervention(report()))
    captions = [text_of(e) for e in root.iter("figcaption")]
    assert len([c for c in captions if "at all tokens" in c]) == 3
    assert not [c for c in captions if "ablate_zero" in c]


def test_the_page_loads_nothing_and_says_what_was_registered() -> None:
    page = render_intervention(report())
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)
    assert "What came: confirmed" in page
    assert "1 earlier looks" in page
    bare = render_intervention(report(hypothesis=None, earlier_looks={}))
    assert "What came" not in bare
    assert "earlier looks" not in bare


def test_a_metric_that_cannot_move_is_an_alert() -> None:
    behaviour = report().behaviour.model_copy(
        update={"flags": (ReasonCode(code="saturated", text="The targets already have it."),)}
    )
    root = tree(render_intervention(report(behaviour=behaviour)))
    (alert,) = [e for e in root.iter() if e.get("role") == "alert"]
    assert "The targets already have it." in text_of(alert)


def test_a_report_without_units_is_still_a_page() -> None:
    page = render_intervention(report(units=()))
    assert isinstance(tree(page), ElementTree.Element)
    assert effect_volcano(report(units=()), Q_LEVEL) is None


def test_marks_lie_where_their_numbers_say() -> None:
    plot = forest(report(), Q_LEVEL)
    by_name = {row.name: row for row in plot.rows}
    strong, null = by_name["resid_post.2 #5 · amplify"], by_name["resid_post.2 #5 · suppress"]
    assert plot.zero < null.explore < strong.explore
    assert strong.low < strong.confirm < strong.high  # type: ignore[operator]
    assert strong.called
    assert not null.called
    volcano = effect_volcano(report(), Q_LEVEL)
    assert volcano is not None
    called = [dot for dot in volcano.dots if dot.called]
    assert all(dot.y < volcano.level for dot in called)
    assert len(called) == 2
    assert upwards(0.0) == HIGHEST
    assert upwards(1.0) == 0.0


def test_the_map_counts_every_coordinate_once() -> None:
    cells = association_map([0.5, 0.5, 0.9, 0.1, float("nan")], [1.0, 0.9999, 1e-30, 0.04, 0.5])
    assert sum(cell.n for cell in cells) == 4
    assert max(cell.log_q for cell in cells) >= HIGHEST
    assert all(0 <= cell.auroc <= 1.01 for cell in cells)


def test_the_inspect_page_shows_the_map_where_the_report_has_one(make_report: Any) -> None:
    bare: InspectReport = make_report()
    assert association_volcano(bare) is None
    assert 'id="map"' not in render_html(bare)
    cells = tuple(MapCell(auroc=0.45 + n / 100, log_q=0.1 * n, n=n + 1) for n in range(20))
    full = bare.model_copy(update={"association_map": cells})
    page = render_html(full)
    root = tree(page)
    (section,) = [e for e in root.iter("section") if e.get("id") == "map"]
    assert sum(e.get("d", "").count("M") for e in section.iter() if e.get("class") == "cell") == 20
    assert len(list(section.iter("circle"))) == len(full.coordinates)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_one_row_per_unit_edit_and_part_at_full_precision() -> None:
    table = rows(intervention_csv(report()))
    assert [(row["unit"][:5], row["edit"], row["part"]) for row in table[:2]] == [
        ("resid", "ablate_zero", "explore"), ("resid", "ablate_zero", "confirm"),
    ]  # fmt: skip
    assert len(table) == 7
    found = report().units[0].edits[0].confirm
    assert found is not None
    assert float(table[1]["effect"]) == found.effect
    assert float(table[1]["beyond_control_low"]) == found.difference_interval.low


def test_csv_of_an_inspection_has_the_numbers_of_its_cards(make_report: Any) -> None:
    made: InspectReport = make_report(confirmed=False)
    table = rows(inspect_csv(made))
    assert len(table) == len(made.coordinates)
    for row, card in zip(table, made.coordinates, strict=True):
        assert float(row["explore_auroc"]) == card.explore.auroc.value
        assert row["confirm_auroc"] == ""


def test_csv_of_an_inspection_has_the_edit_that_counts(make_report: Any) -> None:
    made: InspectReport = make_report()
    figures = CausalFigures(
        part="confirm", n_prompts=9, n_groups=8, effect=0.5, controls={"random": 0.125}, difference=0.375,
        interval=Interval(low=0.25, high=0.5, method="t"), q_value=0.01,
    )  # fmt: skip
    edit = CausalEdit(
        edit="ablate_mean", strength=None, metric="logit_difference", source="edits.jsonl", provenance="imported",
        figures=(figures,), side_effect=0.0625, side_effect_bound=0.25, counts=True, reasons=("effect_confirmed",),
    )  # fmt: skip
    idle = edit.model_copy(update={"edit": "ablate_zero", "counts": False, "reasons": ("effect_like_control",)})
    edited = made.coordinates[0].model_copy(update={"causal": (idle, edit), "association_grade": "plausible"})
    first, second, *_ = rows(inspect_csv(made.model_copy(update={"coordinates": (edited, *made.coordinates[1:])})))
    assert first["n_edits"] == "2"
    assert (first["edit_name"], first["edit_counts"], first["edit_reasons"]) == ("ablate_mean", "1", "effect_confirmed")
    assert (first["edit_effect"], first["edit_beyond_control"], first["edit_q_value"]) == ("0.5", "0.375", "0.01")
    assert (first["edit_side_effect_bound"], first["edit_source"]) == ("0.25", "edits.jsonl")
    assert second["n_edits"] == "0"
    assert {value for name, value in second.items() if name.startswith("edit_")} == {""}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "  ="])
def test_no_cell_of_a_csv_is_a_formula(start: str) -> None:
    units = [unit_card(f"{start}cmd()", "plausible", [edit_card(1.0)])]
    for row in rows(intervention_csv(intervene_report(units))):
        assert row["unit"].startswith("'")
        assert row["effect"] == "1.0"
