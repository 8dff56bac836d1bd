"""Which model and criterion a request is about, whatever capability it was for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from interp_lab.artifacts.workspace import is_artifact_id
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.workflows.memory.history import same_words, weights_of

_MODELS = ("model", "base", "changed")
_SIDES = ("left", "right")
_DEPTH = 6

Object = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Question:
    """One model and one criterion."""

    model: str
    """Id, as the latest run names it."""
    weights: str
    criterion: str

    def same_criterion(self, words: str) -> bool:
        """Return whether words ask the same: case, spaces and a full stop aside."""
        return same_words(words) == same_words(self.criterion)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was about, as its request and its report say."""

    models: frozenset[tuple[str, str]]
    """(id, what tells its weights apart or '')."""
    criterion: str
    """Empty where the request names none."""
    parents: frozenset[str]
    """Artifacts that the request names."""

    def is_about(self, question: Question, known: frozenset[str] | set[str]) -> bool:
        """Return whether it belongs to a question, given the runs that do.

        A run that names a criterion is about that one. One that names none, such as a summary of a graph, is about
        what the runs that it starts from are about.
        """
        if self.criterion:
            return question.same_criterion(self.criterion) and self.reads(question)
        return bool(self.parents & known) and (not self.models or self.reads(question))

    def reads(self, question: Question) -> bool:
        """Return whether one of its models is the question's."""
        return any(
            weights == question.weights or (name == question.model and not weights) for name, weights in self.models
        )


def asked_in(request: Object, report: Object | None = None) -> Asked:
    """Return what a request asks; a report tells the models' weights too."""
    told = _object({}) if report is None else report
    facts = [model for name in _MODELS if (model := _facts(told.get(name)))]
    sides = [_object(request.get(side)) for side in _SIDES]
    named = [request.get(name) for name in _MODELS] + [side.get("model") for side in sides]
    models = facts or [(name, "") for raw in named if (name := _name(raw))]
    words = told.get("criterion", request.get("criterion"))
    return Asked(frozenset(models), words if isinstance(words, str) else "", frozenset(_artifacts(dict(request), 0)))


def _facts(raw: JsonValue) -> tuple[str, str] | None:
    """Return the name and the weights of a model as a report describes it."""
    facts = _object(raw)
    name, sha, revision = (facts.get(field) for field in ("id", "weights_sha256", "revision"))
    if not isinstance(name, str):
        return None
    known = ModelFacts.model_construct(
        id=name,
        weights_sha256=sha if isinstance(sha, str) else None,
        revision=revision if isinstance(revision, str) else None,
    )
    return name, weights_of(known)


def _name(raw: JsonValue) -> str:
    found = raw.get("id") if isinstance(raw, dict) else raw
    return found if isinstance(found, str) else ""


def _artifacts(raw: JsonValue, depth: int) -> Iterator[str]:
    if isinstance(raw, str) and is_artifact_id(raw):
        yield raw
    elif isinstance(raw, dict | list) and depth < _DEPTH:
        for value in raw.values() if isinstance(raw, dict) else raw:
            yield from _artifacts(value, depth + 1)


def _object(raw: JsonValue) -> Object:
    empty: Object = {}
    return raw if isinstance(raw, dict) else empty
