"""One activation record as its line says it, checked: prompt, score and the value of every feature."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from interp_lab.errors import MalformedFile

Metadata = Mapping[str, Any]
_LARGEST = 3.4028234e38
_TOKEN_ID = re.compile(r"(?s)(.+):tok([0-9]{1,9})")
_TOKEN_TEXT = re.compile(r"(?s)(.*) \| token\[([0-9]{1,9})\]=(.*)")


@dataclass(frozen=True, slots=True)
class Record:
    """One line: a prompt as a whole, or one token of it."""

    line: int
    model: str
    id: str
    text: str
    score: float
    values: dict[str, float]
    """Value by name of the feature."""
    metadata: dict[str, Metadata]
    """What is said of a feature, by its name."""
    labels: Metadata = field(default_factory=dict[str, Any])
    """What is said of the prompt."""

    @property
    def token(self) -> tuple[str, int, str, str] | None:
        """Prompt id, position, prompt text and token of a record that is one token of a prompt; None for a prompt."""
        named = _TOKEN_ID.fullmatch(self.id)
        if named is None:
            return None
        shown = _TOKEN_TEXT.fullmatch(self.text)
        if shown is None or shown[2] != named[2]:
            return named[1], int(named[2]), self.text, ""
        return named[1], int(named[2]), shown[1], _unquoted(shown[3])


def token_text(text: str, position: int, token: str) -> str:
    """Return the text of a record that is one token of a prompt."""
    return f"{text} | token[{position}]={token!r}"


def read_record(line: int, value: Mapping[str, Any], *, where: str) -> Record:
    """Return the record of a line.

    Raises:
        MalformedFile: A field is missing or has the wrong type, or a feature is named twice; the line is named.
    """
    refuse = _Refusal(f"{where}, line {line}")
    for name in ("model", "features", "criterion_score"):
        if name not in value:
            raise refuse(f"has no {name}")
    given = value.get("prompt_id", value.get("id", ""))
    if not isinstance(value["model"], str) or not isinstance(given, str):
        raise refuse("has a model or a prompt_id that is not text")
    values, metadata = _features(value["features"], refuse)
    for name, said in _object(value.get("feature_metadata"), "feature_metadata", refuse).items():
        metadata[name] = {**metadata.get(name, {}), **_object(said, "feature_metadata", refuse)}
    labels = _object(value.get("metadata"), "metadata", refuse).get("labels")
    return Record(
        line=line,
        model=value["model"],
        id=given or f"line-{line}",
        text=_text(value.get("text", ""), refuse),
        score=_number(value["criterion_score"], "criterion_score", refuse),
        values=values,
        metadata=metadata,
        labels=cast(Metadata, labels) if isinstance(labels, dict) else {},
    )


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Makes an error that names file and line."""

    place: str

    def __call__(self, problem: str) -> MalformedFile:
        return MalformedFile(f"{self.place}, {problem}.")


def _features(value: Any, refuse: _Refusal) -> tuple[dict[str, float], dict[str, Metadata]]:
    if isinstance(value, dict):
        named = cast(dict[str, Any], value)
        return {name: _number(number, f"features[{name[:80]!r}]", refuse) for name, number in named.items()}, {}
    if not isinstance(value, list):
        raise refuse("has features that are neither an object nor a list")
    values: dict[str, float] = {}
    metadata: dict[str, Metadata] = {}
    for index, entry in enumerate(cast(list[Any], value)):
        item = _object(entry, f"features[{index}]", refuse)
        name = item.get("feature_id")
        if not isinstance(name, str) or not name:
            raise refuse(f"has a features[{index}] without feature_id")
        if name in values:
            raise refuse(f"names the feature {name[:80]!r} twice")
        values[name] = _number(item.get("activation", item.get("value")), f"features[{index}].activation", refuse)
        metadata[name] = {key: said for key, said in item.items() if key not in ("feature_id", "activation", "value")}
    return values, metadata


def _number(value: Any, name: str, refuse: _Refusal) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(f"has a {name} that is not a number")
    if abs(value) > _LARGEST:
        raise refuse(f"has a {name} that is too large for float32")
    return float(value)


def _object(value: Any, name: str, refuse: _Refusal) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(f"has a {name} that is not an object")
    return cast(dict[str, Any], value)


def _text(value: Any, refuse: _Refusal) -> str:
    if not isinstance(value, str):
        raise refuse("has a text that is not text")
    return value


def _unquoted(shown: str) -> str:
    try:
        value = ast.literal_eval(shown)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return shown
    return value if isinstance(value, str) else shown
