from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect_report import LayerRow, Measured
from interp_lab.reports import profile
from interp_lab.reports.axis import axis_for
from interp_lab.reports.orientation import oriented
from interp_lab.reports.profile import panels
from interp_lab.reports.whisker import WIDTH, position, whisker

UNIT = st.floats(0, 1)


def auroc(value: float, low: float, high: float) -> Measured:
    interval = Interval(low=low, high=high, method="bootstrap")
    return Measured(value=value, unit="AUROC", n_prompts=9, n_groups=9, interval=interval)


def row(address: str, best: float = 0.8, confirm: float | None = 0.7, n_significant: int = 3) -> LayerRow:
    return LayerRow(
        address=address,
        n_coordinates=64,
        best_index=5,
        best_auroc=best,
        best_confirm_auroc=confirm,
        n_significant=n_significant,
    )


@given(st.lists(UNIT, max_size=8))
def test_every_value_lies_on_the_shared_axis(values: list[float]) -> None:
    axis = axis_for(values)
    assert 0 <= axis.low <= 0.5
    assert all(axis.low <= value for value in values)
    assert axis.low == 0.5 or min(values) < 0.5


@given(UNIT, UNIT, UNIT)
def test_a_lower_on_positives_coordinate_reads_as_its_mirror_image(value: float, one: float, two: float) -> None:
    measured = auroc(value, min(one, two), max(one, two))
    mirrored = oriented(measured, -1)
    assert oriented(measured, 1) == (value, min(one, two), max(one, two))
    assert mirrored.value == pytest.approx(1 - value)
    assert mirrored.low is not None
    assert mirrored.high is not None
    assert mirrored.low <= mirrored.high
    assert mirrored.low == pytest.approx(1 - max(one, two))


@given(UNIT, UNIT, st.sampled_from((-1, 1)))
def test_whiskers_keep_the_order_of_their_values_and_stay_inside(one: float, two: float, sign: Literal[-1, 1]) -> None:
    explore, confirm = oriented(auroc(one, one, one), sign), oriented(auroc(two, two, two), sign)
    marks = whisker(explore, confirm, axis_for([explore.value, confirm.value]))
    assert marks.confirm is not None
    assert 0 <= min(marks.explore, marks.confirm) <= max(marks.explore, marks.confirm) <= WIDTH
    assert (explore.value - confirm.value) * (marks.explore - marks.confirm) >= 0


def test_an_unconfirmed_coordinate_has_a_ring_and_nothing_else() -> None:
    marks = whisker(oriented(auroc(0.9, 0.8, 1.0), 1), None, axis_for([]))
    assert marks == (position(0.9, axis_for([])), None, None, None)


def test_addresses_fall_into_one_panel_per_hook_point_in_order_of_depth() -> None:
    rows = tuple(row(address) for address in ("mlp_out.0", "resid_post.0", "mlp_out.1", "embed", "module:a.b@in", "??"))
    found = panels(rows, ())
    assert [panel.title for panel in found] == ["mlp_out", "resid_post", "other places"]
    assert [mark.number for mark in found[0].marks] == [0, 2]
    assert [mark.label for mark in found[2].marks] == ["embed", "", ""]


@given(st.lists(st.tuples(UNIT, st.none() | UNIT, st.integers(0, 999)), min_size=1, max_size=60))
def test_marks_stay_inside_their_panel_and_rise_with_the_auroc(values: list[tuple[float, float | None, int]]) -> None:
    rows = tuple(row(f"z.{place}", *given) for place, given in enumerate(values))
    (panel,) = panels(rows, ())
    for mark, (best, _confirm, n_significant) in zip(panel.marks, values, strict=True):
        assert profile.LEFT <= mark.x <= panel.width
        assert profile.TOP <= mark.explore_y <= profile.TOP + profile.PLOT
        assert 0 <= mark.bar <= profile.BARS
        assert (mark.bar > 0) == (n_significant > 0) or n_significant < 0.001 * max(given[2] for given in values)
        assert all((best - other.row.best_auroc) * (mark.explore_y - other.explore_y) <= 0 for other in panel.marks)


def test_a_mark_leads_to_the_card_of_its_best_coordinate_only_if_there_is_one(make_report) -> None:
    report = make_report(n=4)
    linked = {mark.card for panel in panels(report.layers, report.coordinates) for mark in panel.marks}
    assert linked - {None}
    for panel in panels(report.layers, report.coordinates):
        for mark in panel.marks:
            if mark.card is not None:
                card = report.coordinates[mark.card]
                assert (card.address, card.index) == (mark.row.address, mark.row.best_index)
    assert {mark.card for panel in panels(report.layers, ()) for mark in panel.marks} == {None}
