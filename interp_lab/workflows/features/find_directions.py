"""Latents by where their decoder rows point: along a saved direction, or along another latent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.features import DirectionSearch, LatentSearch, SearchFeaturesRequest
from interp_lab.errors import DictionaryMismatch, InvalidRequest
from interp_lab.settings import Settings
from interp_lab.workflows.features.hits import BEST, Hits
from interp_lab.workflows.features.neighbours import first
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.saved_direction import read_direction
from interp_lab.workflows.features.weights import MappedDictionary, open_dictionary
from interp_lab.workflows.paging import Row

_HEADERS = (
    ("dictionary", "which dictionary of the request, from 0"),
    ("unit", "latent"),
    ("cosine", "of its decoder row with the direction; the ranking is by its size"),
    ("encoder_cosine", "of its encoder column; absent where that is in another space"),
)


class _Wanted(NamedTuple):
    """The direction to compare with."""

    name: str
    vector: NDArray[np.float32]
    address: str | None
    itself: tuple[int, int] | None = None
    """Dictionary and latent that are not to be found: where the direction comes from."""


class _Found(NamedTuple):
    """One latent."""

    dictionary: int
    unit: int
    cosine: float


def find_by_direction(request: SearchFeaturesRequest, settings: Settings) -> Hits:
    """Return the latents with the largest cosines.

    Raises:
        InvalidRequest: The request names no dictionary, or no direction that can be read.
        DictionaryMismatch: No dictionary writes vectors of that length.
        LabError: whatever is wrong with a dictionary.
    """
    if not request.dictionaries:
        raise InvalidRequest(f"Searching by {request.by.kind} needs dictionaries.", remedy="Name them in dictionaries.")
    opened = [open_dictionary(name, settings) for name in request.dictionaries]
    wanted = _wanted(request, opened, settings)
    fitting = [number for number, each in enumerate(opened) if each.config.d_out == wanted.vector.size]
    if not fitting:
        raise DictionaryMismatch(f"{wanted.name} has {wanted.vector.size} numbers; no dictionary writes as many.")
    ranked = sorted((hit for number in fitting for hit in _best(number, opened, wanted)), key=lambda h: -abs(h.cosine))
    ranked = ranked[:BEST]
    searched = sum(opened[number].n_latents for number in fitting)

    def actions(_: Row) -> tuple[NextAction, ...]:
        best = ranked[0]
        name = request.dictionaries[best.dictionary]
        return (
            NextAction(
                tool="show_feature",
                arguments={"dictionary": name, "unit": best.unit},
                why="See what the first latent promotes.",
            ),
        )

    return Hits(
        headers=_HEADERS,
        total=len(ranked),
        make=lambda start, stop: [_row(opened, wanted, each) for each in ranked[start:stop]],
        searched=searched,
        found=_sentence(ranked, wanted, searched),
        facts={"chance_cosine": rounded(_chance(searched, wanted.vector.size)), "width": wanted.vector.size},
        warnings=[*_warnings(request, opened, fitting, wanted)],
        actions=actions,
    )


def _wanted(request: SearchFeaturesRequest, opened: list[MappedDictionary], settings: Settings) -> _Wanted:
    by = request.by
    if isinstance(by, DirectionSearch):
        vector, address = read_direction(by, settings)
        return _Wanted("the direction", vector, address)
    assert isinstance(by, LatentSearch)
    name = by.dictionary or request.dictionaries[0]
    source = open_dictionary(name, settings)
    row = source.decoder_row(source.checked_latent(by.unit))
    own = next((number for number, each in enumerate(opened) if each is source), None)
    return _Wanted(f"latent {by.unit}", row, _writes(source), None if own is None else (own, by.unit))


def _best(number: int, opened: list[MappedDictionary], wanted: _Wanted) -> Iterator[_Found]:
    cosines = opened[number].cosines(wanted.vector)
    sizes = np.abs(cosines)
    if wanted.itself is not None and wanted.itself[0] == number:
        sizes[wanted.itself[1]] = -1.0
    for unit in first(-sizes, BEST):
        if sizes[unit] >= 0:
            yield _Found(number, int(unit), float(cosines[unit]))


def _row(opened: list[MappedDictionary], wanted: _Wanted, found: _Found) -> Row:
    dictionary = opened[found.dictionary]
    encoder = None
    if dictionary.config.kind != "transcoder":
        column = dictionary.encoder_column(found.unit).astype(np.float64)
        lengths = float(np.linalg.norm(column) * np.linalg.norm(wanted.vector.astype(np.float64)))
        encoder = rounded(float(column @ wanted.vector) / lengths) if lengths else None
    return found.dictionary, found.unit, rounded(found.cosine), encoder


def _sentence(ranked: list[_Found], wanted: _Wanted, searched: int) -> str:
    if not ranked:
        return f"There is no latent to compare with {wanted.name}"
    best = ranked[0]
    return (
        f"Of {searched} latents, latent {best.unit} of dictionary {best.dictionary} points most along {wanted.name}, "
        f"cosine {best.cosine:.3g}; the largest of as many random directions would be about "
        f"{_chance(searched, wanted.vector.size):.2g}"
    )


def _chance(n: int, width: int) -> float:
    """Return about the largest |cosine| of `n` random directions: sqrt(2 ln 2n / width), at most 1."""
    return min(1.0, math.sqrt(2 * math.log(2 * max(1, n)) / width))


def _warnings(
    request: SearchFeaturesRequest, opened: list[MappedDictionary], fitting: list[int], wanted: _Wanted
) -> Iterator[str]:
    left_out = [number for number in range(len(opened)) if number not in fitting]
    if left_out:
        yield f"Left out, because they write vectors of another length: dictionaries {left_out}."
    elsewhere = [number for number in fitting if _writes(opened[number]) != wanted.address]
    if wanted.address is not None and elsewhere:
        names = ", ".join(request.dictionaries[number][:40] for number in elsewhere[:5])
        yield f"The direction is of {wanted.address}; these write elsewhere, where the same angle means less: {names}."


def _writes(dictionary: MappedDictionary) -> str | None:
    return dictionary.config.address_out
