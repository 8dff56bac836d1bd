"""One name for one unit in every report: where it lies and which it is, not what a run called it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pydantic import ValidationError

from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene import UnitRef
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.workflows.memory.history import PastRun

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NAME = 60
"""Characters of a name that a unit of a report keeps."""


def unit_id(ref: UnitRef, same: Mapping[str, str] = _NOTHING) -> str:
    """Return the id of a unit that a request names; `same` has the one name of its dictionary."""
    if ref.dictionary is not None:
        return f"{same.get(ref.dictionary, ref.dictionary)}#{ref.index}"
    if ref.head is not None:
        return f"{ref.address}.head{ref.head}"
    if ref.direction is not None:
        digest = hashlib.sha256(json.dumps([round(value, 12) for value in ref.direction]).encode()).hexdigest()
        return f"{ref.address}~{digest[:16]}"
    return f"{ref.address}#{ref.index}"


def called(ref: UnitRef) -> str:
    """Return what reports call a unit that a request names."""
    if ref.name is not None:
        return ref.name
    if ref.dictionary is not None:
        return f"{ref.dictionary[:40]} #{ref.index}"
    what = f"head {ref.head}" if ref.head is not None else f"#{ref.index}" if ref.direction is None else "direction"
    return f"{ref.address} {what}"


def coordinate_ids(run: PastRun) -> dict[str, str]:
    """Return the id of every described coordinate of an inspect report, by the name that the report gives it."""
    report, asked = run.report, run.request.get("dictionaries")
    if not isinstance(report, InspectReport):
        return {}
    names = [str(name) for name in asked] if isinstance(asked, list) else []
    return ids_of_coordinates(report, names, run.codes, same=run.same)


def ids_of_coordinates(
    report: InspectReport,
    dictionaries: Sequence[str],
    codes: Mapping[str, str] | None = None,
    *,
    same: Mapping[str, str] = _NOTHING,
) -> dict[str, str]:
    """Return the id of every described coordinate by its name, given the dictionaries in the order of the request.

    `codes` has the dictionary of each column of a store that was ranked, `same` the one name of each dictionary.
    """
    named = {address: same.get(name, name) for address, name in _dictionaries(report, dictionaries).items()}
    behind = {**(codes or {}), **named}
    return {
        name_of(card.address, card.index): f"{behind.get(card.address, card.address)}#{card.index}"
        for card in report.coordinates
    }


def edited_ids(run: PastRun, inspected: Callable[[str], PastRun | None]) -> dict[str, str]:
    """Return the id of every unit that an intervention edited, by the name that its report gives it.

    `inspected` returns the inspect run of an artifact, where it is still there.
    """
    source = run.request.get("report")
    if isinstance(source, str):
        found = inspected(source)
        return {} if found is None else {name[:_NAME]: unit for name, unit in coordinate_ids(found).items()}
    named: dict[str, str] = {}
    if isinstance(run.report, InterveneReport):
        named = {card.unit: unit_id(card.ref, run.same) for card in run.report.units if card.ref is not None}
    units = run.request.get("units")
    for raw in units if isinstance(units, list) else []:
        try:
            ref = UnitRef.model_validate(raw)
            named[called(ref)] = unit_id(ref, run.same)
        except ValidationError:
            continue
    return named


def name_of(address: str, index: int) -> str:
    """Return what reports call a coordinate."""
    return f"{address} #{index}"


def _dictionaries(report: InspectReport, dictionaries: Sequence[str]) -> Mapping[str, str]:
    """Return the dictionary behind each address of latents: reports list them in the order of the request."""
    labels = [row.address for row in report.layers if "/" in row.address]
    names = list(dict.fromkeys(dictionaries))
    return dict(zip(labels, names, strict=True)) if len(labels) == len(names) else {}
