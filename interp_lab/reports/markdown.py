"""The inspect report as Markdown, short enough for an agent to read whole: all ranked, the first ten in full."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.contracts.inspect_report import Context, CoordinateCard, InspectReport, ReasonCode
from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.heat import windowed
from interp_lab.reports.page import page_view
from interp_lab.reports.visible import visible

DESCRIBED = 10
"""Coordinates described in full."""
CONTEXTS = 3
WINDOW = 11
"""Tokens shown of a context, around its peak."""
LAYERS = 16
"""Addresses listed; of more, the strongest on explore."""

_SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#|(?<=www)\.|(?<=:)/(?=/)|^[+=-]")
_LIST_NUMBER = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))")


class MarkdownText(str):
    """Text that is Markdown already; the autoescape of the templates leaves it alone."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return itself, which tells markupsafe that nothing is left to escape."""
        return self


class ReasonsTold(NamedTuple):
    """The reasons of one card: those not yet told in words, and the others."""

    first: tuple[ReasonCode, ...]
    again: tuple[ReasonCode, ...]


def render_markdown(report: InspectReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline; equal reports give equal text."""
    template = _environment().get_template("report.md.j2")
    text = template.render(view=page_view(report), report=report, told=reasons_told(report.coordinates))
    return text.strip() + "\n"


def reasons_told(cards: Iterable[CoordinateCard]) -> tuple[ReasonsTold, ...]:
    """Return per card which reasons are told in words and which, told for a card before it, by their code alone."""
    before: set[ReasonCode] = set()
    told: list[ReasonsTold] = []
    for card in cards:
        told.append(
            ReasonsTold(
                first=tuple(reason for reason in card.reasons if reason not in before),
                again=tuple(reason for reason in card.reasons if reason in before),
            )
        )
        before.update(card.reasons)
    return tuple(told)


def escaped(text: str) -> MarkdownText:
    """Return `text` on one line so that it reads as plain text anywhere, a table cell included."""
    plain = _SPECIAL.sub(r"\\\g<0>", visible(text).strip(" "))
    return MarkdownText(_LIST_NUMBER.sub(r"\1\\", plain))


def code_span(text: str) -> MarkdownText:
    """Return `text` as a code span, fenced by more backticks than it holds; nothing for nothing."""
    shown = visible(text)
    if not shown:
        return MarkdownText("")
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    edges = shown[0] + shown[-1]
    padded = "`" in edges or (edges == "  " and shown.strip(" "))
    return MarkdownText(f"{fence} {shown} {fence}" if padded else f"{fence}{shown}{fence}")


def code_cell(text: str) -> MarkdownText:
    """Return `text` as a code span when a table cell can hold it as one, else escaped."""
    return escaped(text) if re.search(r"[|\\]", visible(text)) else code_span(text)


def emphasised(context: Context) -> MarkdownText:
    """Return the tokens around the peak as code, the peak in bold, with the numbers of tokens left out."""
    window = windowed(context, WINDOW)
    texts = [token.text for token in context.tokens[window]]
    peak: int = context.peak - window.start
    before, after = code_span("".join(texts[:peak])), code_span("".join(texts[peak + 1 :]))
    left_before = context.truncated_before + window.start
    left_after = context.truncated_after + len(context.tokens) - window.stop
    at_peak = code_span(texts[peak])
    shown = f"{before}**{at_peak}**{after}" if at_peak else f"{before} {after}".strip()
    return MarkdownText(f"{f'{left_before}… ' if left_before else ''}{shown}{f' …{left_after}' if left_after else ''}")


@cache
def _environment() -> Environment:
    return environment(
        _finalized,
        filters={"code": code_span, "code_cell": code_cell, "emphasised": emphasised},
        names={"described": DESCRIBED, "n_contexts": CONTEXTS, "n_layers": LAYERS},
    )


def _finalized(value: object) -> object:
    if isinstance(value, Lines):
        return MarkdownText(value)
    return escaped(value) if isinstance(value, str) and not isinstance(value, (Markup, MarkdownText)) else value
