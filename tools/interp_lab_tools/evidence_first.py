"""After a refusal that guards a claim: the call that makes the missing evidence, before the one without the guard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.contracts.steering_vector import VECTOR_KIND, MakeSteeringVectorRequest, VectorSource
from interp_lab.errors import LabError
from interp_lab.jobs.engine import JobEngine
from interp_lab_tools.handles import of_question, request_of
from interp_lab_tools.validate import validate
from interp_lab_tools.views import as_said

_LOOKED_AT = 100
_SHARED: Final = ("model", "criterion", "dataset", "threshold", "seed")
_UNGUARDED: Final = "No evidence, only the guard left out: "


def steered_first(arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[NextAction]:
    """Yield a steer run of the latest vector that was made alike, then the making of one without the guard."""
    kept: dict[str, JsonValue] = {name: arguments[name] for name in _SHARED if arguments.get(name) is not None}
    for made in engine.list_artifacts(kind=VECTOR_KIND, limit=_LOOKED_AT).items:
        asked = request_of(made) if made.spec.get("capability") == "make_steering_vector" else {}
        if asked and of_question(made, arguments) and _source(asked) == _source(arguments):
            why = "The missing evidence: whether text moves with this vector. Give its report as 'steered' then."
            yield NextAction(tool="steer", arguments={**kept, "vector": made.id}, why=why)
            break
    if "require_validated" in arguments:
        without = {name: value for name, value in arguments.items() if name != "require_validated"}
        why = f"{_UNGUARDED}the vector is written, marked as not validated, and a steer run can test it."
        yield NextAction(tool="make_steering_vector", arguments=without, why=why)


def same_question_first(arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[NextAction]:
    """Yield a comparison with another report of the left question, or what makes one; then that without the guard."""
    try:
        left, right = (engine.artifacts.open(str(arguments.get(side))) for side in ("left", "right"))
    except LabError:
        return
    yield from _second_report(left, arguments, engine)
    if left.kind == right.kind and arguments.get("allow_different") is not True:
        why = f"{_UNGUARDED}differences are then of questions, not of runs."
        yield NextAction(tool="compare_runs", arguments={**arguments, "allow_different": True}, why=why)


def _second_report(left: Manifest, arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[NextAction]:
    asked = request_of(left)
    if not asked:
        return
    for made in engine.list_artifacts(kind=left.kind, limit=_LOOKED_AT).items:
        if made.id != left.id and request_of(made) and of_question(made, asked):
            why = "The comparison of one question: with another report of the model and the criterion of the left one."
            yield NextAction(tool="compare_runs", arguments={**arguments, "right": made.id}, why=why)
            return
    if left.kind == "inspect_report":
        request = validate(InspectRequest, asked)
        why = "The missing evidence: the left question once more on another split, to compare with."
        if not isinstance(request.dataset, InlinePrompts):  # they would have to be repeated
            yield NextAction(tool="inspect", arguments={**as_said(request), "seed": request.seed + 1}, why=why)


def _source(arguments: Mapping[str, Any]) -> VectorSource:
    return validate(MakeSteeringVectorRequest, dict(arguments)).source
