"""search_features: latents by what they are active on or where they point, a page at a time. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from interp_lab.contracts.base import Contract
from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.contracts.features import (
    DensitySearch,
    DirectionSearch,
    ExplanationSearch,
    LabelSearch,
    LatentSearch,
    SearchFeaturesRequest,
    SearchFeaturesResult,
    TextSearch,
    TokensSearch,
)
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.finding import find_by_explanation
from interp_lab.workflows.features.find_density import find_by_density
from interp_lab.workflows.features.find_directions import find_by_direction
from interp_lab.workflows.features.find_rows import find_by_rows
from interp_lab.workflows.features.hits import Hits, page_of

FOUND_BY: dict[type[Contract], Callable[[SearchFeaturesRequest, Settings], Hits]] = {
    TokensSearch: find_by_rows,
    TextSearch: find_by_rows,
    LabelSearch: find_by_rows,
    DirectionSearch: find_by_direction,
    LatentSearch: find_by_direction,
    DensitySearch: find_by_density,
}
"""What answers each kind of search: a new kind is one contract, one function from request to `Hits`, one line here."""


def search_features(
    request: SearchFeaturesRequest, *, settings: Settings, known: Iterable[ExplanationRecord] = ()
) -> SearchFeaturesResult:
    """Return one page of latents, best first.

    Raises:
        LabError: whatever is wrong with stores, dictionaries, the search or its cursor.
    """
    if isinstance(request.by, ExplanationSearch):
        return page_of(find_by_explanation(request, request.by, known, settings), request)
    return page_of(FOUND_BY[type(request.by)](request, settings), request)
