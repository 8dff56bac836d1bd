"""Candidates for a prompt set, read from whatever they come in: the request, text files, a table or a preset."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from pydantic import JsonValue, ValidationError

from interp_lab.artifacts.reading import read_json, read_json_lines
from interp_lab.contracts.build_prompts import Answer, Candidate, PresetTexts, TableFile, TextFiles, WrittenTexts
from interp_lab.contracts.prompt_audit import Side
from interp_lab.errors import InvalidPrompts, MalformedFile

Opener = Callable[[str], AbstractContextManager[BinaryIO]]
"""Opens a path that an agent named, confined to the workspace, with a size limit."""

Material = WrittenTexts | TextFiles | TableFile | PresetTexts | Answer

MAX_CANDIDATES = 5_000
"""As many rows as one set takes at a time: near-duplicates are found exactly."""
_BUILT_IN = frozenset({"text", "label", "pair", "group", "subtype", "spans"})


def read_candidates(source: Material, opened: Opener) -> list[Candidate]:
    """Return every candidate of a source, in its order.

    Raises:
        InvalidPrompts: a row is not a text with a label, or there are too many.
        MalformedFile, InvalidPath, PathOutsideWorkspace, FileTooLarge: from the files.
    """
    found = list(_limited(_candidates(source, opened)))
    if not found:
        raise InvalidPrompts("The source holds no text.")
    return found


def _limited(rows: Iterator[Candidate]) -> Iterator[Candidate]:
    for n, row in enumerate(rows):
        if n >= MAX_CANDIDATES:
            raise InvalidPrompts(f"More than {MAX_CANDIDATES:,} texts.", remedy="Give fewer texts, or several sets.")
        yield row


def _candidates(source: Material, opened: Opener) -> Iterator[Candidate]:
    match source:
        case WrittenTexts():
            yield from _sided(source.positives, source.negatives)
        case TextFiles():
            yield from _sided(_cut(source, source.positives, opened), _cut(source, source.negatives, opened))
        case TableFile():
            yield from _table(source, opened)
        case PresetTexts():
            yield from _preset(source, opened)
        case Answer():
            yield from source.candidates


def _sided(positives: tuple[str, ...], negatives: tuple[str, ...]) -> Iterator[Candidate]:
    yield from (_candidate({"text": text, "label": "positive"}, "positives") for text in positives)
    yield from (_candidate({"text": text, "label": "negative"}, "negatives") for text in negatives)


def _cut(source: TextFiles, path: str, opened: Opener) -> tuple[str, ...]:
    with opened(path) as file:
        text = _utf8(file.read(), path).replace("\r\n", "\n")
    lines = text.split("\n")
    match source.cut:
        case "lines":
            pieces = lines
        case "delimiter":
            pieces = _between(lines, lambda line: line.strip() == source.delimiter)
        case "paragraphs":
            pieces = _between(lines, lambda line: not line.strip())
    return tuple(piece.strip() for piece in pieces if piece.strip())


def _between(lines: list[str], ends: Callable[[str], bool]) -> list[str]:
    pieces: list[list[str]] = [[]]
    for line in lines:
        if ends(line):
            pieces.append([])
        else:
            pieces[-1].append(line)
    return ["\n".join(piece) for piece in pieces]


def _table(source: TableFile, opened: Opener) -> Iterator[Candidate]:
    with opened(source.path) as file:
        is_csv = source.path.lower().endswith(".csv")
        rows = _csv(file, source.path) if is_csv else read_json_lines(file, where=source.path)
        for number, row in enumerate(rows, start=1):
            where = f"{source.path} row {number}"
            if not isinstance(row, dict):
                raise InvalidPrompts(f"{where} is not an object with named fields.")
            yield _row(source, row, where)


def _csv(file: BinaryIO, path: str) -> Iterator[JsonValue]:
    reader = csv.DictReader(io.StringIO(_utf8(file.read(), path), newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise MalformedFile(f"{path} line {reader.line_num} has another number of fields than the header.")
            yield cast("dict[str, JsonValue]", row)
    except csv.Error as error:
        raise MalformedFile(f"{path} line {reader.line_num} is not CSV: {error}.") from error


def _row(source: TableFile, row: dict[str, JsonValue], where: str) -> Candidate:
    for name in (source.text_field, source.label_field):
        if name not in row:
            raise InvalidPrompts(f"{where} has no field {name!r}; it has {', '.join(sorted(row))[:200]}.")
    if row[source.label_field] in (None, ""):
        raise InvalidPrompts(f"{where} has no label in {source.label_field!r}; a missing label is not a negative.")
    used = {source.text_field, source.label_field, source.group_field, source.pair_field}
    labels = {n: v for n, v in row.items() if n not in used | _BUILT_IN and isinstance(v, str | int | float | bool)}
    value: dict[str, JsonValue] = {
        "text": _chat(row[source.text_field]),
        "label": "positive" if row[source.label_field] in source.positive_values else "negative",
        "labels": cast("JsonValue", labels),
    }
    value |= {name: row[name] for name in ("subtype", "spans") if row.get(name) and name not in used}
    for name, field in (("group", source.group_field), ("pair", source.pair_field)):
        if field is not None and row.get(field) is not None:
            value[name] = str(row[field])
    return _candidate(value, where)


def _chat(value: JsonValue) -> JsonValue:
    """Return a chat as the plain text that any model can read, one turn a paragraph; other values unchanged."""
    if not isinstance(value, list):
        return value
    turns = [turn for turn in value if isinstance(turn, dict) and isinstance(turn.get("content"), str)]
    return "\n\n".join(f"{str(turn.get('role', 'user')).capitalize()}: {turn['content']}" for turn in turns)


def _preset(source: PresetTexts, opened: Opener) -> Iterator[Candidate]:
    with opened(source.path) as file:
        value = read_json(file, where=source.path)
    yield from preset_candidates(value, source.path)


def preset_candidates(value: JsonValue, where: str) -> Iterator[Candidate]:
    """Yield the texts of a preset, positives first.

    Raises:
        MalformedFile: It has no list of positives or of negatives.
        InvalidPrompts: One of them is not a text.
    """
    sides: tuple[tuple[str, Side], ...] = (("positive_prompts", "positive"), ("negative_prompts", "negative"))
    for field, side in sides:
        texts = value.get(field) if isinstance(value, dict) else None
        if not isinstance(texts, list):
            raise MalformedFile(f"{where} has no list {field!r}.")
        yield from (_candidate({"text": text, "label": side}, f"{where} {field}") for text in texts)


def _candidate(value: dict[str, JsonValue], where: str) -> Candidate:
    try:
        return Candidate.model_validate(value)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        raise InvalidPrompts(f"{where}: {field}: {detail['msg']}"[:300]) from error


def _utf8(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedFile(f"{path} is not UTF-8 text: byte {error.start} is wrong.") from error
