"""A call about a report that asks another question than the report did, put right: with the report's own terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import INSPECT_KIND
from interp_lab_tools.catalogue import BY_NAME
from interp_lab_tools.handles import Mended, request_of
from interp_lab_tools.kept_prompts import is_inline
from interp_lab_tools.validate import validate
from interp_lab_tools.views import as_said

_TERMS = ("model", "criterion", "dataset", "pooling", "threshold", "seed")
_MOST_SAID = 400


def as_reported(tool: str, arguments: Mapping[str, Any], settings: Settings) -> Iterator[Mended]:
    """Yield the arguments with the terms of the inspection that they name by report, where some were others.

    Raises:
        LabError: There is no such report, or the arguments have other faults, which come first.
    """
    report = _report(arguments)
    if report is None or tool not in BY_NAME:
        return
    manifest = ArtifactStore(WorkspacePaths.of(settings)).open_as(report, INSPECT_KIND)
    asked = validate(InspectRequest, request_of(manifest))
    there, said = asked.model_dump(mode="json"), as_said(asked)
    here = validate(BY_NAME[tool].request, arguments).model_dump(mode="json")
    terms = {name: said.get(name, there[name]) for name in _TERMS if name in here and here[name] != there[name]}
    if is_inline(there["dataset"]):
        terms.pop("dataset", None)
    if terms:
        told = ", ".join(f"{name} {value!r}" for name, value in terms.items())
        yield Mended({**arguments, **terms}, f"{told[:_MOST_SAID]}, as the report was asked")


def _report(arguments: Mapping[str, Any]) -> str | None:
    source = arguments.get("source")
    named = arguments.get("report") or (
        cast("dict[str, Any]", source).get("report") if isinstance(source, dict) else None
    )
    return named if isinstance(named, str) else None
