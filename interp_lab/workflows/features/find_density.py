"""Latents by how often they are active."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.contracts.features import DensitySearch, SearchFeaturesRequest
from interp_lab.settings import Settings
from interp_lab.workflows.features.hits import Hits
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.scope import Place, places
from interp_lab.workflows.paging import Row

_HEADERS = (
    ("feature", "COLUMN#UNIT"),
    ("rate", "share of rows on which it is active"),
    ("active", "rows on which it is active"),
    ("rows", "rows of the store"),
    ("store", "which store of the request, from 0"),
)


class _Found(NamedTuple):
    """One latent."""

    place: int
    unit: int
    active: int
    rate: float


def find_by_density(request: SearchFeaturesRequest, settings: Settings) -> Hits:
    """Return the latents whose density is in a range, densest or rarest first; errors as `places`."""
    by = request.by
    assert isinstance(by, DensitySearch)
    columns = places(request, settings)
    ranked = sorted(
        (each for number, place in enumerate(columns) for each in _inside(number, place, by)),
        key=lambda each: each.rate if by.ascending else -each.rate,
    )

    def row(each: _Found) -> Row:
        place = columns[each.place]
        return place.feature(each.unit), rounded(each.rate), each.active, place.view.n_rows, place.store

    searched = sum(place.width for place in columns)
    return Hits(
        headers=_HEADERS,
        total=len(ranked),
        make=lambda start, stop: [row(each) for each in ranked[start:stop]],
        searched=searched,
        found=(
            f"{len(ranked)} of {searched} latents are active on at least {by.at_least:g} and at most {by.at_most:g} "
            "of the rows; dead here need not be dead on other text"
        ),
        actions=lambda _: columns[ranked[0].place].actions(ranked[0].unit),
    )


def _inside(number: int, place: Place, by: DensitySearch) -> list[_Found]:
    counts = place.view.store.codes(place.column).counts
    rates = counts / max(1, place.view.n_rows)
    kept = np.flatnonzero((rates >= by.at_least) & (rates <= by.at_most))
    return [_Found(number, int(unit), int(counts[unit]), float(rates[unit])) for unit in kept]
