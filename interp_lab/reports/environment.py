"""The template environment: every printed value is escaped for its format; no template can forget to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from interp_lab.contracts.actions import NextAction
from interp_lab.reports import numbers, plots
from interp_lab.reports.confounds import confound_words
from interp_lab.reports.grades import GRADES
from interp_lab.reports.visible import shortened, visible


class Lines(str):
    """Printable text made by this package in which line breaks count, such as indented JSON."""

    __slots__ = ()


def action_json(action: NextAction) -> Lines:
    """Return the call as ASCII JSON on several lines, ready to be copied into a client."""
    call = {"tool": action.tool, "arguments": action.arguments}
    return Lines(json.dumps(call, indent=2, ensure_ascii=True, allow_nan=False))


def printable(value: object) -> object:
    """Return what an HTML page prints of a value: text that somebody else wrote is made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines)) else value


_FILTERS: dict[str, Callable[..., object]] = {
    "fixed": numbers.fixed,
    "short": numbers.short,
    "chance": numbers.chance,
    "percent": numbers.percent,
    "count": numbers.count,
    "duration": numbers.duration,
    "shortened": shortened,
    "action_json": action_json,
    "confound_words": confound_words,
}


def environment(
    finalize: Callable[[object], object],
    *,
    filters: Mapping[str, Callable[..., object]] = MappingProxyType({}),
    names: Mapping[str, object] = MappingProxyType({}),
) -> Environment:
    """Return an environment over the packaged templates: every printed value passes `finalize`, then autoescape."""
    made = Environment(
        loader=PackageLoader("interp_lab.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cast("dict[str, object]", made.filters).update(_FILTERS | dict(filters))
    cast("dict[str, object]", made.globals).update({"grades": GRADES, "plots": plots} | dict(names))
    return made
