"""Where a search looks: columns of codes in stores, with the dictionary of each where it was named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.features import SearchFeaturesRequest
from interp_lab.errors import DictionaryMismatch, InvalidRequest, UnknownColumn
from interp_lab.settings import Settings
from interp_lab.workflows.features.subject import column_of
from interp_lab.workflows.features.weights import open_dictionary
from interp_lab.workflows.querying.view import StoreView, open_view


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One column of codes."""

    view: StoreView
    store: int
    """Which store of the request."""
    column: str
    dictionary: str | None = None
    """Name of its dictionary, if the request names it."""

    @property
    def width(self) -> int:
        """Latents."""
        return self.view.column(self.column).width

    def feature(self, unit: int) -> str:
        """Return the name of one of its latents."""
        return f"{self.column}#{unit}"

    def actions(self, unit: int) -> tuple[NextAction, ...]:
        """Return calls that look at one of its latents."""
        known: dict[str, Any] = {"store": self.view.name, "column": self.column, "unit": unit}
        if self.dictionary is not None:
            known["dictionary"] = self.dictionary
        contexts: dict[str, Any] = {"kind": "contexts", "column": self.column, "unit": unit}
        return (
            NextAction(tool="show_feature", arguments=known, why="Look at the first latent from all sides."),
            NextAction(
                tool="query_activations",
                arguments={"store": self.view.name, "query": contexts},
                why="Read where the first latent is strongest.",
            ),
        )


def places(request: SearchFeaturesRequest, settings: Settings) -> tuple[Place, ...]:
    """Return the columns that the request asks about.

    Raises:
        InvalidRequest: It names no store.
        UnknownColumn, DictionaryMismatch: No store has a column or dictionary that it names.
        LabError: whatever is wrong with a store or dictionary.
    """
    if not request.stores:
        raise InvalidRequest(f"Searching by {request.by.kind} needs an encoded store.", remedy="Name it in stores.")
    found: list[Place] = []
    for number, name in enumerate(request.stores):
        view = open_view(name, settings)
        found += _of_dictionaries(view, number, request, settings) if request.dictionaries else _codes(view, number)
    kept = [place for place in found if not request.columns or place.column in request.columns]
    if not kept:
        there = ", ".join(place.column for place in found)[:300] or "no column of codes"
        raise UnknownColumn(f"The stores have {there}.", remedy="Encode the store with a dictionary: encode_store.")
    return tuple(kept)


def _codes(view: StoreView, number: int) -> list[Place]:
    return [Place(view, number, column.key) for column in view.store.manifest.columns if column.kind == "codes"]


def _of_dictionaries(view: StoreView, number: int, request: SearchFeaturesRequest, settings: Settings) -> list[Place]:
    found: list[Place] = []
    for name in request.dictionaries:
        try:
            found.append(Place(view, number, column_of(view, open_dictionary(name, settings), name, None), name))
        except DictionaryMismatch:
            if len(request.stores) == 1:
                raise
    return found
