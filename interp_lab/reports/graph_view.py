"""What the viewer of graphs draws: places, words and tags, made here so that the script only draws and filters."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pydantic import JsonValue

from interp_lab.reports.visible import shortened

R = 7.0
"""Radius of an ordinary mark."""
_COLUMN, _SUB, _ROW, _DEEP = 280.0, 150.0, 40.0, 14
"""Between columns, between parts of one, between rows; rows after which a column is broken."""
_LAYER = re.compile(r"\.(\d+)")


class Mark(NamedTuple):
    """A node as it is drawn."""

    id: str
    style: str
    """Class of the drawing, and the tag that a filter names."""
    x: float
    y: float
    r: float
    label: str
    """What it is called."""
    named: bool
    """Whether the label stands beside it at all times."""
    told: str
    """A line on it for the panel."""
    call: JsonValue = None
    """The call to copy, if there is one."""


class Link(NamedTuple):
    """An edge as it is drawn."""

    source: str
    target: str
    style: str
    """Class of the drawing, and the tag that a filter names."""
    tags: tuple[str, ...]
    """Other tags that filters name."""
    size: float
    """Width from 0 to 1, relative within its kind."""
    value: str
    """Its weight in words."""
    told: str
    """A line on it."""


class Caption(NamedTuple):
    """Words beside the drawing."""

    x: float
    y: float
    text: str
    anchor: str


class Group(NamedTuple):
    """Nodes that can be drawn as one."""

    label: str
    members: tuple[str, ...]


class GraphView(NamedTuple):
    """A drawing; edges strongest first."""

    marks: tuple[Mark, ...]
    links: tuple[Link, ...]
    captions: tuple[Caption, ...]
    lanes: tuple[tuple[float, float, float, float], ...]
    """Lines behind everything: x1, y1, x2, y2."""
    groups: tuple[Group, ...]
    box: tuple[float, float, float, float]
    """x, y, width and height of everything."""
    across: bool
    """Whether it runs from left to right rather than from bottom to top."""


class Columns(NamedTuple):
    """Where nodes stand that are laid out by address, the shallowest on the left."""

    spots: dict[str, tuple[float, float]]
    captions: tuple[Caption, ...]
    right: float
    height: float


def columns_of(
    addresses: Mapping[str, str], *, left: float = 0.0, names: Mapping[str, str] = MappingProxyType({})
) -> Columns:
    """Return the places of nodes, given the address of each; `names` are captions of special addresses."""
    columns: dict[tuple[int, str], list[str]] = defaultdict(list)
    for node, address in addresses.items():
        columns[layer_of(address, special=address in names), address].append(node)
    height = _ROW * max(1, min(_DEEP, max(map(len, columns.values()), default=1)))
    spots: dict[str, tuple[float, float]] = {}
    captions: list[Caption] = []
    x = left
    for (_, address), found in sorted(columns.items()):
        x += 0.0 if not captions and not left else _COLUMN
        captions.append(Caption(x, -38.0, names.get(address, shortened(address, 32)), "middle"))
        deep = min(_DEEP, len(found))
        for place, node in enumerate(found):
            top = (height - deep * _ROW) / 2
            spots[node] = (x + place // _DEEP * _SUB, top + (place % _DEEP + 0.5) * _ROW)
        x += (len(found) - 1) // _DEEP * _SUB
    return Columns(spots, tuple(captions), x, height)


def layer_of(address: str, *, special: bool = False) -> int:
    """Return the layer that an address names, -1 where it names none, and the last of all for a special one."""
    found = _LAYER.search(address)
    return 10**6 if special else int(found[1]) if found else -1


def view_json(view: GraphView) -> str:
    """Return the drawing as ASCII JSON."""
    drawn: dict[str, JsonValue] = {
        "marks": [dict(mark._asdict()) for mark in view.marks],
        "links": [{**link._asdict(), "tags": list(link.tags)} for link in view.links],
        "captions": [dict(caption._asdict()) for caption in view.captions],
        "lanes": [list(lane) for lane in view.lanes],
        "groups": [{"label": group.label, "members": list(group.members)} for group in view.groups],
        "box": list(view.box),
        "across": view.across,
    }
    return json.dumps(drawn, ensure_ascii=True, allow_nan=False)


def relative(values: Sequence[float]) -> list[float]:
    """Return sizes from 0 to 1, the largest at 1."""
    most = max(map(abs, values), default=0.0) or 1.0
    return [abs(value) / most for value in values]
