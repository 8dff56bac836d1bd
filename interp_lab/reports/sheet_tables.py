"""Tables of a report that are the same as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from interp_lab.reports.markdown import MarkdownText, escaped


class Table(NamedTuple):
    """One table, the same in every format; cells are plain text."""

    name: str
    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table_lines(tables: Iterable[Table]) -> Iterator[str]:
    """Yield tables as lines of GitHub-flavoured Markdown, each under a heading, its cells escaped."""
    for table in tables:
        yield from ("", f"## {table.title}", "", *([table.note, ""] if table.note else []))
        yield from (_line(table.head), "|" + "---|" * len(table.head))
        for row in table.rows:
            yield _line(tuple(escaped(cell) for cell in row))


def _line(cells: tuple[str | MarkdownText, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
