"""Figures: well-formed pages that ask for nothing, the numbers they were given, and PNGs that are the same twice."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.errors import PlotsNotInstalled
from interp_lab.reports.figure_html import render_figure_html
from interp_lab.reports.figure_png import render_figure_png
from interp_lab.reports.figures import Figure, Grid, TokenHeat, TokenLine, TokenRow

HOSTILE = '</title><script>alert(1)</script>"\u202e$x_1$'

LINE = TokenLine(
    title=HOSTILE,
    note="n",
    tokens=(" the", HOSTILE, "日本", ""),
    positions=(0, 1, 2, 3),
    series=(("resid_post.1#2", (0.5, -1.25, 2.0, 0.0)), ("metric:loss", (None, 1.0, None, 3.5))),
)
HEAT = TokenHeat(
    title="t", note=HOSTILE, rows=(TokenRow(label=HOSTILE, tokens=("a", HOSTILE), values=(0.25, -3.5), peak=1),)
)
GRID = Grid(
    title="g",
    note="n",
    row_title="unit",
    column_title="target",
    row_names=("7", HOSTILE),
    column_names=("metric:loss", HOSTILE),
    values=((0.75, -0.5), (None, 0.0)),
    scale="diverging",
)
EVERY = pytest.mark.parametrize("figure", [LINE, HEAT, GRID], ids=["line", "heat", "grid"])


@EVERY
def test_a_page_is_well_formed_escaped_and_asks_for_nothing(figure: Figure) -> None:
    page = render_figure_html(figure, f"A summary {HOSTILE}")
    ET.fromstring(page.replace("<!DOCTYPE html>", ""))
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//|@import|url\(\s*['\"]?http", page)
    assert page == render_figure_html(figure, f"A summary {HOSTILE}")


def test_every_number_of_a_figure_can_be_read_on_its_page() -> None:
    assert all(text in render_figure_html(LINE, "") for text in ("−1.25", "3.50", "metric:loss none"))
    assert all(text in render_figure_html(HEAT, "") for text in ("0.250", "−3.50"))
    page = render_figure_html(GRID, "")
    assert "unit 7, metric:loss: 0.750" in page
    assert 'class="mark none"' in page


def test_colour_says_sign_and_size() -> None:
    page = render_figure_html(GRID, "")
    assert 'class="mark" style="--v:1.000" data-read="unit 7, metric:loss: 0.750"' in page
    assert re.search(r'class="mark n" style="--v:0\.667" data-read="unit 7', page)


@EVERY
def test_a_png_is_an_image_and_the_same_twice(figure: Figure) -> None:
    image = render_figure_png(figure, "A summary.\nMore.")
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert image == render_figure_png(figure, "A summary.\nMore.")


def test_without_matplotlib_a_png_is_refused_and_a_page_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotsNotInstalled, match="plots"):
        render_figure_png(GRID, "")
    assert render_figure_html(GRID, "")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.sampled_from(["diverging", "rising"]))
@settings(max_examples=30, deadline=None)
def test_no_colour_is_beyond_its_scale(values: list[float], scale: str) -> None:
    names = tuple(str(place) for place in range(len(values)))
    figure = Grid(
        title="g", note="", row_title="r", column_title="c", row_names=("x",), column_names=names,
        values=(tuple(values),), scale="diverging" if scale == "diverging" else "rising",
    )  # fmt: skip
    shares = [float(text) for text in re.findall(r"--v:([0-9.]+)\"", render_figure_html(figure, ""))]
    assert len(shares) == len(values)
    assert all(0 <= share <= 1 for share in shares)
    if scale == "rising":
        assert 'class="mark n"' not in render_figure_html(figure, "")
