"""Contracts as the JSON Schemas that tools publish: portable between hosts, and small, because a host pays for them.

Input schemas keep the words and those limits that a caller could miss by accident (three letters at least, few entries
at most); what only refuses the absurd is left to the server, which checks everything. A record inside a record, and
one for which a plain string will do, is told by the names of its fields. Output schemas name the fields of an answer:
models do not read them, and schemas/ holds every word. Answers leave out what is null, so a field that can be null is
optional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from interp_lab.contracts.base import Contract

Schema = dict[str, Any]

_MAPS = ("properties", "$defs", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "additionalProperties")
_NOISE = frozenset({"title", "discriminator"})
_WORDS = frozenset({"description", "examples", "default"})
_LIMITS = frozenset({"maxLength", "uniqueItems"})
_PATTERN_MAX = 60
"""A longer pattern is read by nobody; the description says what is meant."""
_LARGEST = 2**31 - 1
_FEW = 8
"""Entries that a caller could exceed by accident; higher limits are there to keep requests from being absurd."""
_NULL: Schema = {"type": "null"}


def input_schema(request: type[Contract]) -> Schema:
    """Return the schema of a tool's arguments."""
    schema = _portable(request.model_json_schema(mode="validation"), _NOISE | _LIMITS, null_is_absent=False)
    definitions: Schema = schema.get("$defs", {})
    near = _references(_without_shorthands({key: value for key, value in schema.items() if key != "$defs"}))
    for name, body in definitions.items():
        definitions[name] = _open(body) if f"#/$defs/{name}" in near else _names_only(body)
    used = _references(schema)
    schema["$defs"] = {name: body for name, body in definitions.items() if f"#/$defs/{name}" in used}
    if not schema["$defs"]:
        del schema["$defs"]
    return schema


def _without_shorthands(node: Any) -> Any:
    """Return the node without those unions of which a plain string is a branch: few callers write the long form."""
    if isinstance(node, list):
        return [_without_shorthands(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    record = cast("Schema", node)
    if any(branch.get("type") == "string" for branch in cast("list[Schema]", record.get("anyOf", []))):
        return {}
    return {key: _without_shorthands(value) for key, value in record.items()}


def _open(record: Schema) -> Schema:
    """Return a record without the word that it has no other fields, which the server says soon enough."""
    return {key: value for key, value in record.items() if key != "additionalProperties"}


def _names_only(record: Schema) -> Schema:
    """Return a record inside another record by the names of its fields; schemas/ has their words."""
    if "properties" not in record:
        return record
    kept: Schema = {
        "type": "object",
        "properties": {name: _names(body) for name, body in record["properties"].items()},
    }
    return {**kept, "required": record["required"]} if record.get("required") else kept


def _names(field: Schema) -> Schema:
    """Return what may stand in a field, without its words."""
    return {key: value for key, value in _choices(field).items() if key not in _WORDS}


def _references(node: Any) -> set[str]:
    """Return every reference in a node."""
    if isinstance(node, list):
        return {name for item in cast("list[Any]", node) for name in _references(item)}
    if not isinstance(node, dict):
        return set()
    record = cast("Schema", node)
    own = {record["$ref"]} if isinstance(record.get("$ref"), str) else set[str]()
    return own | {name for value in record.values() for name in _references(value)}


def output_schema(answer: type[Contract]) -> Schema:
    """Return the schema of a tool's structured content."""
    schema = _portable(answer.model_json_schema(mode="serialization"), _NOISE | _WORDS, null_is_absent=True)
    shown = _shallow(schema, schema.pop("$defs", {}))
    shown["properties"] = {name: _choices(field) for name, field in shown.get("properties", {}).items()}
    return shown


def _choices(field: Schema) -> Schema:
    """Return what may stand in a field, where that is one of a few words; of others the type is enough."""
    return field if field.keys() & {"enum", "const"} or "type" not in field else {"type": field["type"]}


def _portable(schema: Schema, dropped: frozenset[str], *, null_is_absent: bool) -> Schema:
    definitions: Schema = schema.get("$defs", {})
    anything = {name for name, body in definitions.items() if not body.keys() - _NOISE - _WORDS}
    slim = _Slimmer(dropped, frozenset(f"#/$defs/{name}" for name in anything), null_is_absent)
    result = slim.node({**schema, "$defs": {k: v for k, v in definitions.items() if k not in anything}})
    if not result["$defs"]:
        del result["$defs"]
    return result


@dataclass(frozen=True, slots=True)
class _Slimmer:
    """One way of making a schema smaller, applied to every node."""

    dropped: frozenset[str]
    anything: frozenset[str]
    """References to definitions that allow any value."""
    null_is_absent: bool

    def node(self, node: Schema) -> Schema:
        """Return the node without noise, null branches and open references."""
        if node.get("$ref") in self.anything:
            return {}
        if "const" in node:
            return {"const": node["const"]}
        kept = {key: self._value(key, value) for key, value in node.items() if key not in self.dropped}
        for key in [key for key, value in kept.items() if _says_nothing(key, value)]:
            del kept[key]
        if self.null_is_absent and "required" in kept:
            fields: Schema = node.get("properties", {})
            kept["required"] = [name for name in kept["required"] if not _nullable(fields[name])]
        return _closed(_without_null(kept))

    def _value(self, key: str, value: Any) -> Any:
        if key in _MAPS:
            return {name: self.node(child) for name, child in value.items()}
        if key in _LISTS:
            return [self.node(child) for child in value]
        if key in _SINGLES and isinstance(value, dict):
            return self.node(value) or (key == "additionalProperties" or {})  # pyright: ignore[reportUnknownArgumentType]
        return value


def _says_nothing(key: str, value: Any) -> bool:
    """Return whether a model would read this in vain: a long pattern, a limit of the number type, an empty default."""
    match key:
        case "pattern":
            return isinstance(value, str) and (len(value) > _PATTERN_MAX or "\\x00" in value)
        case "maximum":
            return isinstance(value, int | float) and value >= _LARGEST
        case "minLength":
            return value == 1
        case "maxItems":
            return isinstance(value, int) and value > _FEW
        case "default":
            return value is False or value in ([], "", {})
        case _:
            return False


def _shallow(node: Any, definitions: Schema) -> Any:
    """Return the node with every record it refers to as a plain object, and other definitions in their place."""
    if isinstance(node, list):
        return [_shallow(item, definitions) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    record = cast("Schema", node)
    if "$ref" in record:
        body: Schema = definitions[record["$ref"].removeprefix("#/$defs/")]
        return {"type": "object"} if body.get("type") == "object" else _shallow(body, definitions)
    return {key: _shallow(value, definitions) for key, value in record.items()}


def _nullable(node: Schema) -> bool:
    return _NULL in node.get("anyOf", ())


def _without_null(node: Schema) -> Schema:
    """Return the node without the null branch of its union; a union of one becomes that one."""
    if not _nullable(node):
        return node
    branches = [branch for branch in node["anyOf"] if branch != _NULL]
    rest = {key: value for key, value in node.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**branches[0], **rest} if len(branches) == 1 else {**rest, "anyOf": branches}


def _closed(node: Schema) -> Schema:
    """Return the node saying that a map with patterned keys has no others, as the contract does."""
    return {"additionalProperties": False, **node} if "patternProperties" in node else node
