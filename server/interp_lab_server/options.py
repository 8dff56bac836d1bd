"""Request fields as command-line options: derived, never typed twice."""

from __future__ import annotations

import argparse
import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from interp_lab.contracts.base import Contract


def add_options(parser: argparse.ArgumentParser, request: type[Contract]) -> None:
    """Add one option for each field of the request to the parser; values are checked later, by the request itself."""
    for name, field in request.model_fields.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, dest=name, help=_help(field), default=None, **_shape(field))


def arguments_of(parsed: argparse.Namespace, request: type[Contract]) -> dict[str, Any]:
    """Return the arguments that were given on the command line, and only those."""
    given = {name: getattr(parsed, name) for name in request.model_fields}
    return {name: _value(value, request.model_fields[name]) for name, value in given.items() if value is not None}


def _shape(field: FieldInfo) -> dict[str, Any]:
    kinds = _kinds(field.annotation)
    if bool in kinds:
        return {"action": argparse.BooleanOptionalAction}
    metavar = "|".join(_choices(field.annotation)) or ("JSON" if kinds & {dict} else "VALUE")
    if tuple in kinds:
        return {"action": "extend", "nargs": "+", "metavar": metavar}
    return {"metavar": metavar}


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    if not field.is_required() and field.default not in (None, "", ()):
        text += f" [default: {field.default}]"
    return text.replace("%", "%%")


def _value(value: Any, field: FieldInfo) -> Any:
    if isinstance(value, list):
        items: list[Any] = [_scalar(item, field) for item in cast("list[Any]", value)]
        if len(items) == 1 and isinstance(items[0], list) and not _nested(field.annotation):
            return cast("list[Any]", items[0])  # a list may be written as one JSON text
        return items
    return _scalar(value, field)


def _scalar(value: Any, field: FieldInfo) -> Any:
    if not isinstance(value, str):
        return value
    kinds = _kinds(field.annotation)
    structured = bool(kinds & {dict, tuple}) and value[:1] in ("{", "[")  # text may begin with a bracket
    if not structured and not kinds & {int, float}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _nested(annotation: Any) -> bool:
    """Return whether the items of a list are lists themselves."""
    parts = [part for part in get_args(annotation) if part is not Ellipsis]
    if get_origin(annotation) is tuple:
        return any(tuple in _kinds(part) for part in parts)
    return any(_nested(part) for part in parts)


def _kinds(annotation: Any) -> set[type]:
    """Return the plain types inside an annotation: tuple for a tuple of anything, dict for a record."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return {kind for part in get_args(annotation) for kind in _kinds(part)}
    if origin is Literal:
        return {str}
    if origin is not None:
        return {origin}
    if isinstance(annotation, type):
        return {dict} if issubclass(annotation, Contract) else {annotation}
    return set()


def _choices(annotation: Any) -> tuple[str, ...]:
    origin = get_origin(annotation)
    if origin is Literal:
        return tuple(str(value) for value in get_args(annotation))
    if origin in (Annotated, tuple, Union, UnionType):
        parts = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
        return _choices(parts[0]) if len(parts) == 1 or origin is Annotated else ()
    return ()
