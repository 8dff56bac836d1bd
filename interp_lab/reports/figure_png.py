# pyright: standard
"""A figure as a PNG image, for places that show pictures and no pages. Needs matplotlib (extra `plots`)."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from interp_lab.errors import PlotsNotInstalled
from interp_lab.reports.figures import Figure, Grid, TokenHeat, TokenLine
from interp_lab.reports.visible import shortened

_DPI = 130
_MOST_LABELLED = 80
_LINE_TOKENS = 14


def render_figure_png(figure: Figure, caption: str) -> bytes:
    """Return the bytes of a PNG image; equal figures give equal bytes on one installation.

    Raises:
        PlotsNotInstalled: matplotlib is not there.
    """
    canvas = _canvas()
    with warnings.catch_warnings():
        # A font lacks some of the world's characters; a box in their place is better than no figure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        drawn = _draw(canvas, figure)
        drawn.suptitle(figure.title, fontsize=11, parse_math=False)
        drawn.supxlabel(shortened(caption.splitlines()[0], 160), fontsize=7, parse_math=False)
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def _canvas() -> Any:
    try:
        from matplotlib.figure import Figure as Canvas  # lazy: an extra, and half a second
    except ImportError as error:
        raise PlotsNotInstalled from error
    return Canvas


def _draw(canvas: Any, figure: Figure) -> Any:
    if isinstance(figure, TokenLine):
        return _line(canvas, figure)
    return _heat(canvas, figure) if isinstance(figure, TokenHeat) else _grid(canvas, figure)


def _line(canvas: Any, figure: TokenLine) -> Any:
    n = len(figure.tokens)
    drawn = canvas(figsize=(max(6.0, min(24.0, 0.22 * n)), 1.6 * len(figure.series) + 1.2), layout="constrained")
    panels = np.atleast_1d(drawn.subplots(len(figure.series), 1, sharex=True))
    for panel, (name, values) in zip(panels, figure.series, strict=True):
        panel.plot([np.nan if value is None else value for value in values], linewidth=1.2, marker=".", markersize=3)
        panel.axhline(0, color="0.7", linewidth=0.6)
        panel.set_ylabel(shortened(name, 30), fontsize=8, parse_math=False)
        panel.tick_params(labelsize=7)
    if n <= _MOST_LABELLED:
        labels = [
            shortened(token, _LINE_TOKENS) or str(at) for token, at in zip(figure.tokens, figure.positions, strict=True)
        ]
        panels[-1].set_xticks(range(n), labels, rotation=60, ha="right", fontsize=7, parse_math=False)
    return drawn


def _heat(canvas: Any, figure: TokenHeat) -> Any:
    width = max((len(row.tokens) for row in figure.rows), default=1)
    table = np.full((max(1, len(figure.rows)), width), np.nan)
    for place, row in enumerate(figure.rows):
        table[place, : len(row.values)] = row.values
    drawn = canvas(figsize=(max(6.0, 0.55 * width), 0.45 * len(table) + 1.4), layout="constrained")
    panel = drawn.subplots()
    _image(drawn, panel, table, middle=0.0)
    for place, row in enumerate(figure.rows):
        for at, token in enumerate(row.tokens):
            weight = "bold" if at == row.peak else "normal"
            text = shortened(token, 8)
            panel.text(at, place, text, ha="center", va="center", fontsize=6, fontweight=weight, parse_math=False)
    panel.set_xticks([])
    panel.set_yticks(range(len(figure.rows)), [row.label for row in figure.rows], fontsize=7, parse_math=False)
    return drawn


def _grid(canvas: Any, figure: Grid) -> Any:
    table = np.array([[np.nan if value is None else value for value in row] for row in figure.values], dtype=np.float64)
    size = max(6.0, 0.35 * table.shape[1] + 2), max(2.5, 0.22 * table.shape[0] + 2)
    drawn = canvas(figsize=size, layout="constrained")
    panel = drawn.subplots()
    _image(drawn, panel, table, middle=None if figure.scale == "rising" else figure.middle)
    columns = [shortened(name, 30) for name in figure.column_names]
    panel.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=7, parse_math=False)
    panel.set_yticks(range(len(figure.row_names)), figure.row_names, fontsize=7, parse_math=False)
    panel.set_xlabel(figure.column_title, fontsize=8, parse_math=False)
    panel.set_ylabel(figure.row_title, fontsize=8, parse_math=False)
    return drawn


def _image(drawn: Any, panel: Any, table: np.ndarray, *, middle: float | None) -> None:
    known = table[np.isfinite(table)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    colours = "viridis"
    if middle is not None:
        reach = max(high - middle, middle - low) or 1.0
        low, high, colours = middle - reach, middle + reach, "PuOr_r"
    image = panel.imshow(table, aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    drawn.colorbar(image, ax=panel, shrink=0.8).ax.tick_params(labelsize=7)
