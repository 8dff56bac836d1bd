"""The inspection that sets interventions beside what correlates, offered once they have an artifact."""

from __future__ import annotations

from typing import Any

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest, UnitRef
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import INSPECT_KIND, read_run
from interp_lab_tools.kept_prompts import is_inline

_SHARED = ("model", "criterion", "dataset", "pooling", "threshold", "seed")
_LEFT_OUT = {*RUN_CONTROLS, "hypothesis", "dry_run"}
_MOST_SOURCES = 20


def inspect_again(request: InterveneRequest, artifact: str, settings: Settings) -> tuple[NextAction, ...]:
    """Return the inspection of the same prompts that merges the interventions; none where nothing edited can be ranked.

    It is that of the report which named the units, or one of the places that were named by hand.
    """
    if isinstance(request.dataset, InlinePrompts):
        return ()  # the prompts would have to be repeated in the action
    asked = _reported(request, settings) if request.report is not None else _of_places(request)
    if asked is None:
        return ()
    if is_inline(asked.get("dataset")):  # the report's prompts are those of the request, which named them
        asked |= request.model_dump(mode="json", include={"dataset"})
    known = [name for name in asked.get("interventions", ()) if name != artifact]
    asked["interventions"] = [*known[1 - _MOST_SOURCES :], artifact]
    why = (
        "Rank the prompts' coordinates again with these edits beside them: costs one more pass over the prompts; it "
        "grades each edited coordinate by association and effect together, and shows both in one report."
    )
    return (NextAction(tool="inspect", arguments=asked, why=why),)


def _reported(request: InterveneRequest, settings: Settings) -> dict[str, Any] | None:
    """Return what the report was asked, where its artifact and its request are still there."""
    try:
        run = read_run(str(request.report), settings)
        asked = InspectRequest.model_validate(run.request)
    except (LabError, ValueError):
        return None
    if run.manifest.kind != INSPECT_KIND or not asked.runs_model:
        return None
    # Criteria that were asked together stay together, because every q counts all of them.
    return asked.model_dump(mode="json", exclude_defaults=True, exclude=_LEFT_OUT)


def _of_places(request: InterveneRequest) -> dict[str, Any] | None:
    places = [request.search, request.screen]
    units = [unit for unit in request.units if _ranked(unit)]
    dictionaries = [place.dictionary for place in places if place is not None and place.dictionary is not None]
    dictionaries += [unit.dictionary for unit in units if unit.dictionary is not None]
    addresses = [str(unit.address) for unit in units if unit.address is not None]
    if request.screen is not None and request.screen.address is not None:
        addresses.append(str(request.screen.address))
    if not dictionaries and not addresses:
        return None
    named = {"dictionaries": list(dict.fromkeys(dictionaries)), "addresses": list(dict.fromkeys(addresses))}
    own = request.model_dump(mode="json", include={*_SHARED}, exclude_defaults=True)
    return own | {name: values for name, values in named.items() if values}


def _ranked(unit: UnitRef) -> bool:
    """Heads and directions are no coordinates of an inspection."""
    return unit.head is None and unit.direction is None
