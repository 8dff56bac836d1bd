"""A CSV file with one line per row of an array: what the rows are of, and labels with their names as given."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from interp_lab.errors import DuplicateRows, MalformedFile
from interp_lab.store.interchange.incoming import IncomingPrompt, label_type

_OF_PROMPTS = ("text", "score", "group")
_MARKS = ("special", "generated", "span")
_METRIC = "metric:"
MAX_FIELD = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """What a CSV file says of the rows of an array."""

    prompts: tuple[IncomingPrompt, ...]
    prompt_of: list[int]
    """Number of every row's prompt."""
    position: list[int]
    token: list[str | None]
    token_id: list[int | None]
    marks: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])
    """Which rows are special, generated or inside a labelled span, as far as it is said."""
    metrics: dict[str, list[float | None]] = field(default_factory=dict[str, list[float | None]])
    """Columns called metric:NAME, by NAME."""
    labels: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """Other columns by name, one value per row, empty cells None."""

    @property
    def n_rows(self) -> int:
        """Lines below the header."""
        return len(self.prompt_of)


def read_label_table(file: BinaryIO, *, where: str) -> LabelTable:
    """Return the table of a CSV file in UTF-8 whose first line names the columns.

    `prompt`, `position`, `token`, `token_id`, `text`, `score`, `group`, `special`, `generated`, `span` and
    `metric:NAME` have their meaning; every other column is a label of truth values, whole numbers, numbers or text,
    whichever fits all of its cells.

    Raises:
        MalformedFile: A line has too many or too few cells, or a cell does not fit its column; the line is named.
        DuplicateRows: A prompt has a position twice.
    """
    cells = _cells(file, where)
    n_rows = len(next(iter(cells.values())))
    names = cells.pop("prompt", None) or [str(row) for row in range(n_rows)]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    prompt_of = [number_of[name] for name in names]
    position = _positions(cells.pop("position", None), prompt_of, where)
    return LabelTable(
        prompts=_prompts(number_of, prompt_of, {name: cells.pop(name, None) for name in _OF_PROMPTS}, where),
        prompt_of=prompt_of,
        position=position,
        token=[cell or None for cell in cells.pop("token", [""] * n_rows)],
        token_id=_token_ids(cells.pop("token_id", [""] * n_rows), where),
        marks={name: _marks(cells.pop(name), name, where) for name in _MARKS if name in cells},
        metrics={
            name[len(_METRIC) :]: _metric(cells.pop(name), where) for name in [*cells] if name.startswith(_METRIC)
        },
        labels={name: _typed(column) for name, column in cells.items()},
    )


def _cells(file: BinaryIO, where: str) -> dict[str, list[str]]:
    csv.field_size_limit(MAX_FIELD)
    lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), strict=True)
    try:
        header = next(lines, list[str]())
        if not header or len(set(header)) != len(header) or "" in header:
            raise MalformedFile(f"{where}, line 1, does not name every column once.")
        columns: dict[str, list[str]] = {name: [] for name in header}
        for line in lines:
            if len(line) != len(header):
                raise MalformedFile(f"{where}, line {lines.line_num}, has {len(line)} cells, not {len(header)}.")
            for column, cell in zip(columns.values(), line, strict=True):
                column.append(cell)
    except (csv.Error, UnicodeDecodeError) as error:
        raise MalformedFile(f"{where}, line {lines.line_num + 1}, is not CSV in UTF-8: {error}.") from error
    return columns


def _positions(given: list[str] | None, prompt_of: list[int], where: str) -> list[int]:
    if given is None:
        counters: defaultdict[int, Iterator[int]] = defaultdict(itertools.count)
        return [next(counters[prompt]) for prompt in prompt_of]
    positions = [_whole(cell, row, where) for row, cell in enumerate(given)]
    rows: set[tuple[int, int]] = set()
    for row, pair in enumerate(zip(prompt_of, positions, strict=True)):
        if pair in rows:
            raise DuplicateRows(f"{where}, line {row + 2}: its prompt has position {pair[1]} already.")
        rows.add(pair)
    return positions


def _prompts(
    number_of: dict[str, int], prompt_of: list[int], columns: dict[str, list[str] | None], where: str
) -> tuple[IncomingPrompt, ...]:
    found: dict[int, tuple[int, dict[str, str]]] = {}
    for row, prompt in enumerate(prompt_of):
        said = {name: column[row] for name, column in columns.items() if column is not None}
        if found.setdefault(prompt, (row, said))[1] != said:
            raise MalformedFile(f"{where}, line {row + 2}: text, score or group is not that of the prompt's first row.")
    return tuple(_prompt(name, found[number][1], found[number][0], where) for name, number in number_of.items())


def _prompt(name: str, said: dict[str, str], row: int, where: str) -> IncomingPrompt:
    score = said.get("score", "")
    return IncomingPrompt(
        name,
        text=said.get("text", ""),
        score=None if score == "" else _number(score, row, where),
        group=said.get("group") or None,
    )


def _marks(cells: list[str], name: str, where: str) -> list[bool]:
    for row, cell in enumerate(cells):
        if cell.lower() not in _TRUTH:
            raise MalformedFile(f"{where}, line {row + 2}: {name} is {cell[:40]!r}, not true or false.")
    return [_as_truth(cell) for cell in cells]


def _metric(cells: list[str], where: str) -> list[float | None]:
    return [None if cell == "" else _number(cell, row, where) for row, cell in enumerate(cells)]


def _token_ids(cells: list[str], where: str) -> list[int | None]:
    return [None if cell == "" else _whole(cell, row, where) for row, cell in enumerate(cells)]


def _whole(cell: str, row: int, where: str) -> int:
    try:
        return int(cell)
    except ValueError as error:
        raise MalformedFile(f"{where}, line {row + 2}: {cell[:40]!r} is not a whole number.") from error


def _number(cell: str, row: int, where: str) -> float:
    try:
        number = float(cell)
    except ValueError as error:
        raise MalformedFile(f"{where}, line {row + 2}: {cell[:40]!r} is not a number.") from error
    if not math.isfinite(number):
        raise MalformedFile(f"{where}, line {row + 2}: {cell[:40]!r} is not finite.")
    return number


_TRUTH = {"true": True, "false": False}
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")


def _typed(cells: list[str]) -> list[Any]:
    for read in (_as_truth, _as_whole, _as_finite):
        values = _all(cells, read)
        if values is not None and label_type(values) is not None:
            return values
    return [cell or None for cell in cells]


def _all(cells: Iterable[str], read: Callable[[str], Any]) -> list[Any] | None:
    try:
        return [None if cell == "" else read(cell) for cell in cells]
    except (ValueError, KeyError):
        return None


def _as_truth(cell: str) -> bool:
    return _TRUTH[cell.lower()]


def _as_whole(cell: str) -> int:
    if not _PLAIN_WHOLE.fullmatch(cell):  # 007 is a name
        raise ValueError(cell)
    return int(cell)


def _as_finite(cell: str) -> float:
    number = float(cell)
    if not _PLAIN_NUMBER.fullmatch(cell) or not math.isfinite(number):
        raise ValueError(cell)
    return number
