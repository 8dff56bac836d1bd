"""Scored prompts and where a set of them comes from: inline, a file of the workspace, or a dataset in the box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WrapSerializer,
    model_validator,
)

from interp_lab.contracts.base import Contract

PromptId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Label = str | bool | int | FiniteFloat
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Name of a set in a prompt folder: the name of its file."""
SetOrigin = Literal["workspace", "user", "builtin"]
"""Whose folder a set lies in: the workspace's, one of the operator's, or the box."""


class Span(Contract):
    """A stretch of the prompt's text in which the property sits, in characters."""

    start: Annotated[int, Field(ge=0)]
    """First character, counted from 0."""
    end: Annotated[int, Field(gt=0)]
    """One past the last character."""

    @model_validator(mode="after")
    def _is_not_empty(self) -> Span:
        if self.end <= self.start:
            raise ValueError("a span must end after it starts")
        return self


class ScoredPrompt(Contract):
    """One prompt with how strongly the criterion holds of it, and what else is known about it."""

    id: PromptId | None = None
    """Unique name; made from the content when left out."""
    text: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
    """What the model reads."""
    score: FiniteFloat
    """How far the criterion holds: 1 positive, 0 negative, or anything between."""
    group: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Prompts that share a group (template, source document) are never split and count as one unit."""
    pair: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Counterfactual pair: the same prompt with and without the property."""
    subtype: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Kind of positive or hard negative, for specificity."""
    spans: tuple[Span, ...] = ()
    """Where in the text the property sits, if it sits somewhere."""
    labels: dict[LabelName, Label] = Field(default_factory=dict[LabelName, Label])
    """Other known properties (length class, topic, template family …), for specificity and confounds."""


class InlinePrompts(Contract):
    """Prompts written into the request."""

    kind: Literal["inline"] = "inline"
    """Says that the prompts are in the request."""
    prompts: Annotated[tuple[ScoredPrompt, ...], Field(min_length=2, max_length=5000)]
    """At least one prompt above and one below the threshold."""


class PromptFile(Contract):
    """A JSON Lines file of scored prompts, one object a line, inside the workspace."""

    kind: Literal["file"] = "file"
    """Says that the prompts are in a file."""
    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(examples=["data/units.jsonl"])
    """Path relative to the workspace."""


class BuiltinDataset(Contract):
    """A dataset in the box; lab_overview lists them."""

    kind: Literal["builtin"] = "builtin"
    """Says that this is a dataset in the box."""
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] = Field(examples=["measurement-unit"])
    """Name as lab_overview lists it."""


class NamedSet(Contract):
    """A set by its name: 'set:NAME', 'workspace:NAME' or 'user:NAME'."""

    kind: Literal["named"] = "named"
    """Says so."""
    name: SetName
    """As lab_overview lists it."""
    origin: SetOrigin | None = None
    """Only there; absent means the first of these that has it."""


PromptSource = Annotated[InlinePrompts | PromptFile | BuiltinDataset | NamedSet, Field(discriminator="kind")]
"""Where scored prompts come from."""

_BUILTIN = "builtin:"
_ANY_SET = "set:"
_ORIGINS: Mapping[str, SetOrigin | None] = {_ANY_SET: None, "workspace:": "workspace", "user:": "user"}
"""How a text names a set, and where it is then looked for."""

_KIND_BY_FIELD = {"prompts": "inline", "path": "file", "name": "builtin"}


def _source_from_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _with_kind(cast("Mapping[str, Any]", value))
    if not isinstance(value, str):
        return value
    if value.startswith(_BUILTIN):
        return {"kind": "builtin", "name": value.removeprefix(_BUILTIN)}
    return named_from_text(value) or {"kind": "file", "path": value}


def named_from_text(value: str) -> dict[str, str | None] | None:
    """Return the fields of the named set that a text such as 'set:NAME' or 'user:NAME' means, or None."""
    prefix, colon, name = value.partition(":")
    if prefix + colon not in _ORIGINS:
        return None
    return {"kind": "named", "name": name, "origin": _ORIGINS[prefix + colon]}


def named_to_text(value: NamedSet) -> str:
    """Return the text that `named_from_text` reads back."""
    return f"{value.origin}:{value.name}" if value.origin else _ANY_SET + value.name


def _with_kind(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object that leaves its kind out with the kind that its fields say."""
    kinds = [kind for field, kind in _KIND_BY_FIELD.items() if field in value]
    return {"kind": kinds[0], **value} if "kind" not in value and len(kinds) == 1 else value


def _source_to_text(value: PromptSource, default: SerializerFunctionWrapHandler) -> Any:
    """Write a source the short way where there is one, so that it reads well in next actions and commands."""
    match value:
        case BuiltinDataset():
            return _BUILTIN + value.name
        case NamedSet() if value.origin != "builtin":
            return named_to_text(value)
        case PromptFile() if not value.path.startswith((_BUILTIN, *_ORIGINS)):
            return value.path
        case _:
            return default(value)


PromptArgument = Annotated[
    PromptSource,
    BeforeValidator(_source_from_text, json_schema_input_type=PromptSource | str),
    WrapSerializer(_source_to_text),
]
"""Scored prompts: 'builtin:NAME', 'set:NAME', the path of a JSON Lines file in the workspace, or an object."""
