"""What was said in words of the units of a dossier, with what those words were worth in blind tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from interp_lab.contracts.dossier_statements import DossierExplanation
from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.records import about

_SHOWN = 400
_MOST = 5
"""Explanations of one unit, graded ones first."""


def explanations_of(
    names: dict[str, str], known: Iterable[ExplanationRecord], settings: Settings
) -> tuple[DossierExplanation, ...]:
    """Return the explanations of units, given their names by id; graded ones first within each unit.

    An explanation belongs to a unit if it is of that latent of that very dictionary, by artifact or by content.
    """
    records = tuple(known)
    found: list[DossierExplanation] = []
    for unit, name in names.items() if records else ():
        dictionary, _, index = unit.rpartition("#")
        if not (dictionary and index.isascii() and index.isdigit()):
            continue
        of_latent = [record for record in records if record.unit == int(index)]
        own = about(of_latent, int(index), _identities(dictionary, settings)) if of_latent else ()
        found += [_listed(record, unit, name) for record in own[:_MOST]]
    return tuple(found)


def _identities(dictionary: str, settings: Settings) -> Iterator[str]:
    from interp_lab.workflows.features.weights import open_dictionary  # lazy: numpy is not needed to list tools

    yield dictionary
    try:
        yield open_dictionary(dictionary, settings).content_hash
    except LabError:
        return  # an address, or a dictionary that is no longer there: only its name can be compared


def _listed(record: ExplanationRecord, unit: str, name: str) -> DossierExplanation:
    return DossierExplanation(
        unit=unit,
        name=name,
        text=record.text[:_SHOWN],
        provenance=record.provenance,
        source=record.source,
        scores=record.scores,
        attempt=record.attempt,
        imported_scores=record.imported_scores,
    )
