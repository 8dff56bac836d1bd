"""Tables as documents: JSON Lines, Parquet and conversations. Labels keep their names and types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import read_json_lines
from interp_lab.contracts.corpora import ChatFile, JsonLinesTable, ParquetTable
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.document import Document, LabelValue, Message, Row, Rows, from_prompt
from interp_lab.errors import InvalidDocuments, MalformedFile
from interp_lab.settings import Settings
from interp_lab.store.arrow import arrow

MAX_FILE_BYTES = 2**36
_MAX_LINES = 2**31
_BATCH_ROWS = 4096
_ALWAYS = frozenset({"id", "text", "group", "labels", "split"})
"""Fields that are never labels."""
_NAMES = frozenset({"pair", "subtype"})
_OF_PROMPTS = ("score", *sorted(_NAMES), "spans", "labels")
"""Fields that have the meaning that they have of a scored prompt, where they hold such a thing."""
_KNOWN = _ALWAYS | {*_OF_PROMPTS}


class _Entry(NamedTuple):
    fields: Mapping[str, Any]
    where: str
    number: int
    share: float


def read_json_lines_table(source: JsonLinesTable, settings: Settings) -> Rows:
    """Yield a document for every row of a JSON Lines file.

    Raises:
        InvalidPath, PathOutsideWorkspace, FileTooLarge, MalformedFile: see `open_input` and `read_json_lines`.
        InvalidDocuments: A row lacks the text, or a label is not text, a number or a boolean.
    """
    for entry in _json_entries(source.path, settings):
        yield Row(_document(source, entry), entry.share)


def read_parquet_table(source: ParquetTable, settings: Settings) -> Rows:
    """Yield a document for every row of a Parquet file; see `read_json_lines_table` for errors."""
    for entry in _parquet_entries(source, settings):
        yield Row(_document(source, entry), entry.share)


def read_chats(source: ChatFile, settings: Settings) -> Rows:
    """Yield a document with messages for every row of a JSON Lines file; see `read_json_lines_table` for errors."""
    for entry in _json_entries(source.path, settings):
        messages = _messages(entry, source.messages_field)
        yield Row(_filled(source, entry, {source.messages_field}, messages=messages) if messages else None, entry.share)


def _json_entries(path: str, settings: Settings) -> Iterator[_Entry]:
    roots = settings.read_roots
    with open_input(settings.workspace, path, read_roots=roots, max_bytes=MAX_FILE_BYTES) as file:
        size = max(1, file.seek(0, 2))
        file.seek(0)
        for number, value in enumerate(read_json_lines(file, where=path, max_lines=_MAX_LINES)):
            where = f"{path} row {number + 1}"
            if not isinstance(value, dict):
                raise InvalidDocuments(f"{where} is not an object with fields.")
            yield _Entry(value, where, number, file.tell() / size)


def _parquet_entries(source: ParquetTable, settings: Settings) -> Iterator[_Entry]:
    from pyarrow import parquet  # lazy: see interp_lab.store.arrow  # pyright: ignore

    roots = settings.read_roots
    with open_input(settings.workspace, source.path, read_roots=roots, max_bytes=MAX_FILE_BYTES) as file:
        try:
            table: Any = parquet.ParquetFile(file)  # pyright: ignore
            columns = _columns(source, list(table.schema_arrow.names))
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for fields in batch.to_pylist():
                    share = (number + 1) / table.metadata.num_rows
                    yield _Entry(fields, f"{source.path} row {number + 1}", number, share)
                    number += 1
        except arrow().ArrowException as error:
            raise MalformedFile(f"{source.path} is not a Parquet file: {str(error)[:200]}") from error


def _columns(source: ParquetTable, names: list[str]) -> list[str]:
    if source.text_field not in names:
        raise InvalidDocuments(
            f"{source.path} has no column {source.text_field!r}; it has {_named(names)}.",
            remedy="Name the column with the text as text_field.",
        )
    if source.label_fields is None:
        return names
    wanted = {source.text_field, *source.label_fields, source.id_field, source.group_field, *_KNOWN}
    return [name for name in names if name in wanted]


def _document(source: JsonLinesTable | ParquetTable, entry: _Entry) -> Document | None:
    text = entry.fields.get(source.text_field)
    if not isinstance(text, str):
        what = "is empty" if text is None and source.text_field in entry.fields else "is not text"
        if what == "is empty":
            return None
        raise InvalidDocuments(
            f"{entry.where}: the field {source.text_field!r} {what}; it has {_named(entry.fields)}.",
            remedy="Name the field with the text as text_field.",
        )
    if not text.strip():
        return None
    return _filled(source, entry, {source.text_field}, text=text)


def _filled(
    source: JsonLinesTable | ParquetTable | ChatFile,
    entry: _Entry,
    used: set[str],
    *,
    text: str = "",
    messages: tuple[Message, ...] = (),
) -> Document:
    """Return the document of a row; fields that scored prompts have keep their meaning."""
    fields = entry.fields
    known, meant = _as_prompt({name: value for name, value in fields.items() if name not in used}, text)
    group = fields.get(source.group_field) if source.group_field else fields.get("group")
    return Document(
        id=str(fields.get(source.id_field or "id", entry.number)),
        text=text,
        messages=messages,
        group=None if group is None else str(group),
        pair=known.pair,
        subtype=known.subtype,
        split=str(fields["split"]) if fields.get("split") is not None else None,
        score=known.score if "score" in meant else None,
        spans=known.spans,
        labels=dict(known.labels) | _labels(source.label_fields, entry, used | _ALWAYS | meant),
    )


def _as_prompt(fields: Mapping[str, Any], text: str) -> tuple[Document, frozenset[str]]:
    """Return what the row says of itself as a scored prompt does, and in which fields.

    A field that only shares its name with one, such as a score in words, is none of these. A conversation has no
    spans: its text is that of a template.
    """
    given = {name: fields[name] for name in _OF_PROMPTS if fields.get(name) is not None and (text or name != "spans")}
    given |= {name: str(given[name]) for name in _NAMES & given.keys() if isinstance(given[name], int)}
    while True:
        try:
            prompt = ScoredPrompt.model_validate({"score": 0.0, **given, "id": None, "text": "-"})
        except ValidationError as error:
            wrong = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_input=False)}
            given = {name: value for name, value in given.items() if name not in wrong}
            continue
        return from_prompt(prompt), frozenset(given)


def _labels(chosen: Sequence[str] | None, entry: _Entry, used: set[str]) -> dict[str, LabelValue]:
    names = [name for name in entry.fields if name not in used] if chosen is None else chosen
    labels: dict[str, LabelValue] = {}
    for name in names:
        value = entry.fields.get(name)
        if isinstance(value, (str, bool, int, float)) and _is_finite(value):
            labels[name] = value
        elif value is not None and chosen is not None:
            raise InvalidDocuments(
                f"{entry.where}: the label {name!r} is neither text nor a finite number nor boolean."
            )
    return labels


def _is_finite(value: str | bool | int | float) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _messages(entry: _Entry, field: str) -> tuple[Message, ...]:
    value = entry.fields.get(field)
    if not isinstance(value, list):
        raise InvalidDocuments(f"{entry.where}: the field {field!r} is not a list; it has {_named(entry.fields)}.")
    messages: list[Message] = []
    for item in cast("list[object]", value):
        fields = cast("dict[str, object]", item) if isinstance(item, dict) else {}
        role, content = fields.get("role"), fields.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            raise InvalidDocuments(f"{entry.where}: a message is not {{role, content}} with text in both.")
        messages.append(Message(role, content))
    return tuple(messages)


def _named(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = [repr(str(name)[:40]) for name in list(names)[:10]]
    return ", ".join(shown) if shown else "no field"
