"""A CSV file with one line per row of an array: what the rows are of, and labels with their names as given.

It is read twice, line by line: first to check every cell and to find the type of every label, then along with the rows
of the array. What stays in memory are the prompts, and where every row stands.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import DuplicateRows, MalformedFile
from interp_lab.store.interchange.incoming import IncomingPrompt
from interp_lab.store.interchange.row_keys import RowKeys, first_repeat
from interp_lab.store.tables import label_column, metric_column

MAX_FIELD = 1_000_000
_OF_PROMPTS = ("text", "score", "group")
_MARKS = ("special", "generated", "span")
_METRIC = "metric:"
_TRUTH = {"true": True, "false": False}
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """What is said of the rows of an array."""

    prompts: tuple[IncomingPrompt, ...]
    prompt_of: NDArray[np.int32]
    """Number of every row's prompt."""
    position: NDArray[np.int64]
    rest: Callable[[int], Mapping[str, Any]]
    """Everything else of the next so many rows, by the names of store columns; labels have their names as given."""
    metrics: tuple[str, ...] = ()
    """Columns called metric:NAME, by NAME."""
    labels: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Other columns by name, each with a value of its type, None where every cell is empty."""

    @property
    def n_rows(self) -> int:
        """Rows that are described."""
        return len(self.prompt_of)


class _Column(NamedTuple):
    """A column that is read along with the array: its name in the store, its place in a line and its cells' meaning."""

    name: str
    place: int
    read: Callable[[str], Any]


@dataclass(slots=True)
class _Label:
    """A label whose type is found as its cells go by."""

    place: int
    readers: list[Callable[[str], Any]]
    """What fits every cell so far, narrowest first; text always does."""
    seen: bool = False

    def take(self, cell: str) -> None:
        """Leave out the types that do not fit."""
        if cell:
            self.seen = True
            self.readers = [read for read in self.readers if _fits(read, cell)]


def read_label_table(file: BinaryIO, *, where: str) -> LabelTable:
    """Return the table of a CSV file in UTF-8 whose first line names the columns; the file stays open while it is used.

    `prompt`, `position`, `token`, `token_id`, `text`, `score`, `group`, `special`, `generated`, `span` and
    `metric:NAME` have their meaning; every other column is a label of truth values, whole numbers, numbers or text,
    whichever fits all of its cells.

    Raises:
        MalformedFile: A line has too many or too few cells, or a cell does not fit its column; the line is named.
        DuplicateRows: A prompt has a position twice.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    names, lines = _opened(text, where)
    places = {name: place for place, name in enumerate(names)}
    checked = _checked_columns(places)
    known = {"prompt", "position", *_OF_PROMPTS, *_MARKS, "token", "token_id"}
    labels = {
        name: _Label(place, [_as_truth, _as_whole, _as_finite, _as_text])
        for name, place in places.items()
        if name not in known and not name.startswith(_METRIC)
    }
    survey = _Survey(where, places)
    for row, cells in enumerate(lines):
        survey.take(row, cells)
        for column in checked:
            _checked(column, cells, row, where)
        for label in labels.values():
            label.take(cells[label.place])
    survey.refuse_repeats()
    found = [_Column(label_column(name), label.place, label.readers[0]) for name, label in labels.items()]
    return LabelTable(
        prompts=survey.prompts(),
        prompt_of=survey.keys.prompts,
        position=survey.keys.positions,
        rest=_Rest(text, where, (*checked, *found)),
        metrics=tuple(name[len(_METRIC) :] for name in names if name.startswith(_METRIC)),
        labels={name: _SAMPLES[label.readers[0]] if label.seen else None for name, label in labels.items()},
    )


def _opened(text: io.TextIOWrapper, where: str) -> tuple[list[str], Iterator[list[str]]]:
    """The names in the first line, and the lines after it."""
    text.seek(0)
    csv.field_size_limit(MAX_FIELD)
    lines = _lines(text, where)
    header = next(lines, list[str]())
    if not header or len(set(header)) != len(header) or "" in header:
        raise MalformedFile(f"{where}, line 1, does not name every column once.")
    return header, lines


def _lines(text: io.TextIOWrapper, where: str) -> Iterator[list[str]]:
    reader, width = csv.reader(text, strict=True), 0
    try:
        for line in reader:
            width = width or len(line)
            if len(line) != width:
                raise MalformedFile(f"{where}, line {reader.line_num}, has {len(line)} cells, not {width}.")
            yield line
    except (csv.Error, UnicodeDecodeError) as error:
        raise MalformedFile(f"{where}, line {reader.line_num + 1}, is not CSV in UTF-8: {error}.") from error


def _checked_columns(places: Mapping[str, int]) -> tuple[_Column, ...]:
    """The columns whose cells have a meaning of their own."""
    found = [_Column("token", places["token"], _as_text)] if "token" in places else []
    if "token_id" in places:
        found.append(_Column("token_id", places["token_id"], _token_id))
    found += [_Column(name, places[name], _mark(name)) for name in _MARKS if name in places]
    for name, place in places.items():
        if name.startswith(_METRIC):
            found.append(_Column(metric_column(name[len(_METRIC) :]), place, _number))
    return tuple(found)


def _checked(column: _Column, cells: Sequence[str], row: int, where: str) -> None:
    try:
        column.read(cells[column.place])
    except ValueError as error:
        raise MalformedFile(f"{where}, line {row + 2}: {error}.") from error


class _Survey:
    """Prompts and places, as lines go by."""

    def __init__(self, where: str, places: Mapping[str, int]) -> None:
        self._where, self._places = where, places
        self._said: dict[str, tuple[str, ...]] = {}
        self._next: defaultdict[int, int] = defaultdict(int)
        self._numbers: dict[str, int] = {}
        self._scores: list[float | None] = []
        self.keys = RowKeys()

    def take(self, row: int, cells: Sequence[str]) -> None:
        """Take the next line."""
        name = cells[self._places["prompt"]] if "prompt" in self._places else str(row)
        said = tuple(cells[self._places[part]] if part in self._places else "" for part in _OF_PROMPTS)
        if self._said.setdefault(name, said) != said:
            raise self._wrong(row, "text, score or group is not that of the prompt's first row")
        number = self._numbers.setdefault(name, len(self._numbers))
        try:
            if number == len(self._scores):
                self._scores.append(_number(said[1]))
            self.keys.add(number, self._position(number, cells))
        except (ValueError, OverflowError) as error:
            raise self._wrong(row, str(error)) from error

    def _position(self, number: int, cells: Sequence[str]) -> int:
        if "position" in self._places:
            return _whole(cells[self._places["position"]])
        self._next[number] += 1
        return self._next[number] - 1

    def refuse_repeats(self) -> None:
        """Return if no prompt has a position twice."""
        row = first_repeat(self.keys.prompts, self.keys.positions)
        if row is not None:
            place = int(self.keys.positions[row])
            raise DuplicateRows(f"{self._where}, line {row + 2}: its prompt has position {place} already.")

    def prompts(self) -> tuple[IncomingPrompt, ...]:
        """Return the prompts in the order in which they came."""
        return tuple(
            IncomingPrompt(name, text=text, score=score, group=group or None)
            for (name, (text, _, group)), score in zip(self._said.items(), self._scores, strict=True)
        )

    def _wrong(self, row: int, problem: str) -> MalformedFile:
        return MalformedFile(f"{self._where}, line {row + 2}: {problem}.")


class _Rest:
    """The cells of the lines once more, some at a time."""

    def __init__(self, text: io.TextIOWrapper, where: str, columns: Sequence[_Column]) -> None:
        self._text, self._where, self._columns = text, where, columns
        self._lines: Iterator[list[str]] | None = None

    def __call__(self, n_rows: int) -> dict[str, Any]:
        """Return the columns of the next rows."""
        if self._lines is None:
            self._lines = _opened(self._text, self._where)[1]
        lines = list(itertools.islice(self._lines, n_rows))
        if len(lines) < n_rows:
            raise MalformedFile(f"{self._where} became shorter while it was read.")
        try:
            return {name: [read(line[place]) for line in lines] for name, place, read in self._columns}
        except ValueError as error:
            raise MalformedFile(f"{self._where} changed while it was read: {error}.") from error


def _mark(name: str) -> Callable[[str], bool]:
    def read(cell: str) -> bool:
        if cell.lower() not in _TRUTH:
            raise ValueError(f"{name} is {cell[:40]!r}, not true or false")
        return _TRUTH[cell.lower()]

    return read


def _whole(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise ValueError(f"{cell[:40]!r} is not a whole number") from None


def _token_id(cell: str) -> int | None:
    return None if cell == "" else _whole(cell)


def _number(cell: str) -> float | None:
    if cell == "":
        return None
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(f"{cell[:40]!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{cell[:40]!r} is not finite")
    return number


def _fits(read: Callable[[str], Any], cell: str) -> bool:
    try:
        read(cell)
    except ValueError:
        return False
    return True


def _as_text(cell: str) -> str | None:
    return cell or None


def _as_truth(cell: str) -> bool | None:
    if cell.lower() not in _TRUTH and cell:
        raise ValueError(cell)
    return _TRUTH.get(cell.lower())


def _as_whole(cell: str) -> int | None:
    if not cell:
        return None
    if not _PLAIN_WHOLE.fullmatch(cell):  # 007 is a name
        raise ValueError(cell)
    return int(cell)


def _as_finite(cell: str) -> float | None:
    if not cell:
        return None
    number = float(cell)
    if not _PLAIN_NUMBER.fullmatch(cell) or not math.isfinite(number):
        raise ValueError(cell)
    return number


_SAMPLES: Mapping[Callable[[str], Any], Any] = {_as_truth: True, _as_whole: 0, _as_finite: 0.0, _as_text: ""}
"""A value of the type that a reader of cells gives."""
