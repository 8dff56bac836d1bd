"""A page that leads to every page of a workspace: tiles with what each found; links are relative, ids stand beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.contracts.artifacts import artifact_uri
from interp_lab.contracts.gallery import GalleryTile
from interp_lab.reports.sheet import html_templates

WIDTH, HEIGHT = 120.0, 28.0
_BAR = 0.7


class Spark(NamedTuple):
    """A small drawing of the values of one report."""

    line: str
    """Points of a polyline; empty for bars."""
    bars: tuple[tuple[float, float, float, float], ...]
    """x, y, width and height."""
    base: float
    """Where chance, or no effect, lies."""


class Shown(NamedTuple):
    """A tile as the template shows it."""

    tile: GalleryTile
    href: str
    uri: str
    spark: Spark | None


def render_gallery(tiles: Sequence[GalleryTile], *, n_left_out: int) -> str:
    """Return a complete HTML document whose links lead from the folder of a gallery to the folders of the others."""
    shown = [
        Shown(tile, f"../../{tile.artifact}/files/{tile.page}", artifact_uri(tile.artifact, tile.page), _spark(tile))
        for tile in tiles
    ]
    kinds = list(dict.fromkeys(tile.kind for tile in tiles))
    return (
        html_templates()
        .get_template("gallery.html.j2")
        .render(tiles=shown, kinds=kinds, n_left_out=n_left_out, width=WIDTH, height=HEIGHT)
    )


def _spark(tile: GalleryTile) -> Spark | None:
    if not tile.values:
        return None
    if tile.drawing == "profile":
        return _profile(tile.values) if len(tile.values) > 1 else None
    if tile.drawing == "effects":
        return _bars(tile.values)
    return _from_foot(tile.values, 1.0 if tile.drawing == "shares" else max(tile.values))


def _profile(values: Sequence[float]) -> Spark:
    """AUROC from 0.5 at the foot to 1 at the top."""
    step = WIDTH / max(1, len(values) - 1)
    heights = [HEIGHT * (1 - (min(max(value, 0.5), 1.0) - 0.5) / 0.5) for value in values]
    return Spark(" ".join(f"{n * step:.1f},{height:.1f}" for n, height in enumerate(heights)), (), HEIGHT)


def _from_foot(values: Sequence[float], most: float) -> Spark:
    """Amounts up from the foot; what lies beyond the top ends there, and what is below 0 is nothing."""
    step = WIDTH / len(values)
    heights = [HEIGHT * min(max(value / most, 0.0), 1.0) if most > 0 else 0.0 for value in values]
    width = round(min(step * _BAR, 12.0), 1)
    bars = tuple(
        (round(n * step, 1), round(HEIGHT - height, 1), width, round(height, 1)) for n, height in enumerate(heights)
    )
    return Spark("", bars, HEIGHT)


def _bars(values: Sequence[float]) -> Spark:
    """Effects up and down from the middle, the largest to the edge."""
    most, step, middle = max(map(abs, values)) or 1.0, WIDTH / len(values), HEIGHT / 2
    bars = tuple(
        (
            round(n * step, 1),
            round(middle - max(value, 0.0) / most * middle, 1),
            round(min(step * _BAR, 12.0), 1),
            round(abs(value) / most * middle, 1),
        )
        for n, value in enumerate(values)
    )
    return Spark("", bars, middle)
