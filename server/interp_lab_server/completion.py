"""What could be meant: completions of prompt arguments and of the ids in resource templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mcp_types import Completion, CompletionArgument, CompletionContext

from interp_lab.contracts.overview import OverviewResult
from interp_lab.errors import LabError
from interp_lab_server.boundary import in_thread
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

SHOWN = 100
"""The protocol's limit of values in one completion."""


class Completer:
    """Completions over what one lab holds."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._sources: Mapping[str, Callable[[Mapping[str, str]], Iterable[str]]] = {
            "model": lambda _: (model.id for model in self._overview("models").models or ()),
            "dataset": lambda _: (each.argument for each in self._overview("datasets").datasets or () if each.argument),
            "criterion": lambda _: (dataset.criterion for dataset in self._overview("datasets").datasets or ()),
            "job_id": lambda _: (job.id for job in self._lab.engine.list_jobs(limit=SHOWN).items),
            "artifact_id": lambda _: (manifest.id for manifest in self._lab.engine.list_artifacts(limit=SHOWN).items),
            "name": self._file_names,
        }

    async def __call__(
        self, ref: Any, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion | None:
        """Return the values that start with what was typed, or contain it."""
        del ref
        source = self._sources.get(argument.name)
        if source is None:
            return None
        known = (context.arguments if context else None) or {}
        return await in_thread(lambda: _completion(_values(source, known), argument.value))

    def _overview(self, section: str) -> OverviewResult:
        result = dispatch(self._lab, "lab_overview", {"sections": [section]})
        assert isinstance(result, OverviewResult)
        return result

    def _file_names(self, known: Mapping[str, str]) -> Iterable[str]:
        manifest = self._lab.engine.artifacts.open(known.get("artifact_id", ""))
        return (file.name for file in manifest.files)


def _values(source: Callable[[Mapping[str, str]], Iterable[str]], known: Mapping[str, str]) -> list[str]:
    try:
        return list(dict.fromkeys(source(known)))
    except LabError:
        return []


def _completion(values: list[str], typed: str) -> Completion:
    low = typed.lower()
    first = [value for value in values if value.lower().startswith(low)]
    matches = first + [value for value in values if low in value.lower() and value not in first]
    return Completion(values=matches[:SHOWN], total=len(matches), has_more=len(matches) > SHOWN)
