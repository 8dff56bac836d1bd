"""The pages of a training: well-formed, self-contained, names as text, and loaded again only while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from interp_lab.reports.training import LiveView, render_live

LINES = [
    {"step": 1.0, "tokens": 256.0, "loss": 9.0, "fvu": 0.9, "l0": 8.0, "dead_fraction": 0.0, "tokens_per_s": 41234.4},
    {"step": 2.0, "tokens": 512.0, "loss": 7.0, "fvu": 0.7, "l0": 8.0, "dead_fraction": 0.25, "tokens_per_s": 41999.9},
    {"step": 2.0, "tokens": 512.0, "held_out_fvu": 0.8},
]


def view(state: str) -> LiveView:
    return LiveView("topk sae", state, 2048, datetime(2026, 1, 1, tzinfo=UTC), "ab" * 16)


@pytest.mark.parametrize(("state", "reloads"), [("training", True), ("finished", False), ("stopped (OSError)", False)])
def test_a_page_is_loaded_again_only_while_the_training_runs(state: str, reloads: bool) -> None:
    page = render_live(view(state), LINES)
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert ('http-equiv="refresh"' in page) == reloads
    assert state in page


def test_every_live_figure_is_on_the_page_with_its_curve() -> None:
    page = render_live(view("training"), LINES)
    for title in ("Held-out FVU", "FVU of the batch", "L0 of the batch", "Dead share", "Loss", "Tokens per second"):
        assert page.count(title) >= 2
    assert page.count("<polyline") == 6
    assert "42,000" in page
    assert "512 of 2,048" in page


def test_several_dictionaries_have_a_row_and_a_line_each_and_names_are_text() -> None:
    hostile = "<script>alert(1)</script>"
    named = [{"step": 1.0, "tokens": 256.0, "a/fvu": 0.5, f"{hostile}x/fvu": 0.25}]
    page = render_live(view("training"), named)
    assert page.count("<polyline") == 2
    assert hostile not in page
    assert page.count('scope="row"') == 2


def test_a_page_before_the_first_measurement_says_so() -> None:
    assert "Nothing is measured yet." in render_live(view("training"), [])
