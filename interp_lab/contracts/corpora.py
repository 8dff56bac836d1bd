"""Where text to be read comes from: prompts, text files, tables with a text field, or chats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, JsonValue, SerializerFunctionWrapHandler, StringConstraints, WrapSerializer

from interp_lab.contracts.base import Contract
from interp_lab.contracts.prompts import (
    BuiltinDataset,
    InlinePrompts,
    NamedSet,
    PromptFile,
    named_from_text,
    named_to_text,
)

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
WorkspacePath = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class TextFiles(Contract):
    """A plain text file, or every one in a folder, inside the workspace."""

    kind: Literal["text"] = "text"
    """Says that the documents are plain text."""
    path: WorkspacePath = Field(examples=["data/essays.txt"])
    """File or folder relative to the workspace."""
    pattern: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_*?.\[\]-]{1,100}$")] = "*.txt"
    """Which files of a folder, by name."""
    unit: Literal["paragraph", "line", "file"] = "paragraph"
    """What is one document: text between blank lines, a line, or a whole file."""


class _Table(Contract):
    path: WorkspacePath = Field(examples=["data/reviews.jsonl"])
    """File relative to the workspace."""
    text_field: FieldName = "text"
    """Field with the text."""
    id_field: FieldName | None = None
    """Field with a unique name; absent, 'id' where every row has one, else the row number."""
    label_fields: Annotated[tuple[FieldName, ...], Field(max_length=100)] | None = None
    """Fields to keep as labels, with their names and types; absent, every text, number and boolean field."""
    group_field: FieldName | None = None
    """Field whose equal values make rows one unit of evidence (author, source, template)."""


class JsonLinesTable(_Table):
    """A JSON Lines file, one object a line. Fields of scored prompts (score, spans, labels ...) keep their meaning."""

    kind: Literal["jsonl"] = "jsonl"
    """Says that the documents are in a JSON Lines file."""


class ParquetTable(_Table):
    """A Parquet file with one document a row."""

    kind: Literal["parquet"] = "parquet"
    """Says that the documents are in a Parquet file."""
    path: WorkspacePath = Field(examples=["data/reviews.parquet"])
    """File relative to the workspace."""


class ChatFile(Contract):
    """A JSON Lines file of conversations, written out with the chat template of the model's tokenizer."""

    kind: Literal["chat"] = "chat"
    """Says that the documents are conversations."""
    path: WorkspacePath = Field(examples=["data/chats.jsonl"])
    """File relative to the workspace."""
    messages_field: FieldName = "messages"
    """Field with the list of {role, content} messages."""
    id_field: FieldName | None = None
    """Field with a unique name; absent, 'id' where every row has one, else the row number."""
    label_fields: Annotated[tuple[FieldName, ...], Field(max_length=100)] | None = None
    """Fields to keep as labels; absent, every text, number and boolean field."""
    group_field: FieldName | None = None
    """Field whose equal values make rows one unit of evidence."""
    add_generation_prompt: bool = False
    """End with the marks that open the assistant's turn; for chats that end with the user's."""


CorpusSource = Annotated[
    InlinePrompts | PromptFile | BuiltinDataset | NamedSet | TextFiles | JsonLinesTable | ParquetTable | ChatFile,
    Field(discriminator="kind"),
]
"""Where documents come from."""

_BUILTIN = "builtin:"
_BY_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def _source_from_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _with_kind(cast("Mapping[str, Any]", value))
    if not isinstance(value, str):
        return value
    if value.startswith(_BUILTIN):
        return {"kind": "builtin", "name": value.removeprefix(_BUILTIN)}
    return named_from_text(value) or {"kind": _kind_of_file(value), "path": value}


def _with_kind(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object that leaves its kind out with the kind that its fields say."""
    if "kind" in value:
        return value
    if "prompts" in value or "name" in value:
        return {"kind": "inline" if "prompts" in value else "builtin", **value}
    return {"kind": _kind_of_file(value["path"]), **value} if isinstance(value.get("path"), str) else value


def _kind_of_file(path: str) -> str:
    return _BY_SUFFIX.get(PurePosixPath(path).suffix.lower(), "text")


def _source_to_text(value: CorpusSource, default: SerializerFunctionWrapHandler) -> Any:
    """Write a source the short way where that means the same, so that it reads well in next actions."""
    if isinstance(value, BuiltinDataset):
        return _BUILTIN + value.name
    if isinstance(value, NamedSet) and value.origin != "builtin":
        return named_to_text(value)
    if isinstance(value, (TextFiles, JsonLinesTable, ParquetTable)) and not value.path.startswith(_BUILTIN):
        by_path = {"kind": _kind_of_file(value.path), "path": value.path}
        if value.model_dump(exclude_defaults=True) | {"kind": value.kind} == by_path:
            return value.path
    return default(value)


CorpusArgument = Annotated[
    CorpusSource,
    # Seven full schemas would be a quarter of what a host can list; wrong fields are named when a request is read.
    BeforeValidator(_source_from_text, json_schema_input_type=str | dict[str, JsonValue]),
    WrapSerializer(_source_to_text),
]
"""Documents: 'builtin:NAME', 'set:NAME', a path in the workspace (.jsonl, .parquet, else plain text), or an object."""
