# pyright: standard
"""Pairs that a file names, as columns of both sides; and the pairs of a report as such a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from interp_lab.bridges.peer_matches import PeerMatch, match_report
from interp_lab.contracts.compare import ComparedUnit, CompareRequest, ComparisonReport, Match
from interp_lab.errors import InvalidMatches, LabError
from interp_lab.methods.pattern_match import similarities
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.interchange.features import feature_id, place_of
from interp_lab.workflows.comparing.match_file import pairs_in_file, were_chosen_here
from interp_lab.workflows.comparing.pairs import Pair
from interp_lab.workflows.comparing.sides import ReadSide


class Named(NamedTuple):
    """The pairs of a file."""

    pairs: tuple[Pair, ...]
    unread: tuple[str, ...]
    """Pairs with a unit that a side does not read."""
    held_out: bool
    """Whether it is known that no confirm prompt had a part in choosing them."""


def named_pairs(left: ReadSide, right: ReadSide, request: CompareRequest, settings: Settings) -> Named:
    """Return the pairs of the file as columns, with their likeness on explore prompts.

    Raises:
        InvalidMatches: No pair has both its units here; see also `pairs_in_file`.
    """
    found: dict[tuple[int, int], None] = {}
    unread: list[str] = []
    for pair in pairs_in_file(request, settings):
        one = _column(left, pair.left, pair.left_metadata)
        two = _column(right, pair.right, pair.right_metadata)
        if one is None or two is None:
            unread.append(f"{pair.left[:60]} with {pair.right[:60]}")
        else:
            found[one, two] = None
    if not found:
        raise InvalidMatches(
            f"None of the {len(unread)} pairs of {request.matches} has both its units here, such as {unread[0]}.",
            remedy="Name the addresses and dictionaries that the pairs are about on both sides.",
        )
    ours, theirs = left.patterns("explore"), right.patterns("explore")
    alike = similarities(ours.of([a for a, _ in found]), theirs.of([b for _, b in found]))
    pairs = (Pair(a, b, "imported", float(alike[i, i])) for i, (a, b) in enumerate(found))
    return Named(tuple(pairs), tuple(unread), were_chosen_here(request, left.prompts_sha256, settings))


def _column(side: ReadSide, name: str, told: Mapping[str, Any]) -> int | None:
    place = place_of(name, told)
    if place.unit is None:
        return None
    addresses = (place.address, *_same_place(place.address))
    if place.dictionary is None:
        keys = [str(address) for address in addresses]
    else:
        keys = [f"{address}/{place.dictionary}" for address in addresses]
        keys += _only_dictionary(side, addresses) if place.dictionary == "sae" else []
    columns = (side.column(key, place.unit) for key in keys)
    return next((column for column in columns if column is not None), None)


def _same_place(address: Address) -> tuple[Address, ...]:
    """The output of one block is the input of the next: hidden states may be called either way."""
    if address.point == "resid_pre" and address.layer:
        return (Address("resid_post", address.layer - 1),)
    if address.point == "resid_post" and address.layer is not None:
        return (Address("resid_pre", address.layer + 1),)
    return ()


def _only_dictionary(side: ReadSide, addresses: tuple[Address, ...]) -> list[str]:
    """The dictionary at a place, if there is but one: the peer's names do not say which is meant."""
    starts = tuple(f"{address}/" for address in addresses)
    found = [str(site) for site in side.table.columns if str(site).startswith(starts)]
    return found if len(found) == 1 else []


def peer_matches(report: ComparisonReport) -> dict[str, Any]:
    """Return the pairs of a report in the peer's match format."""
    matches = [
        PeerMatch(
            left=_name(match.left),
            right=_name(match.right),
            left_place=_place(match.left),
            right_place=_place(match.right),
            activation=match.similarity,
            decoder=match.direction_cosine,
            text=match.explanation_cosine,
            labels=(_label(match.left), _label(match.right)),
            effects=_signed(match) if report.by == "responses" else None,
        )
        for match in report.matches
    ]
    return match_report(report.left.id, report.right.id, report.run.started_at.isoformat(), matches)


def _signed(match: Match) -> tuple[float, float] | None:
    """Return the effects of interventions that were compared; by effects they are sizes, which have no sign."""
    one, two = match.left.effect, match.right.effect
    if match.effect_agrees is None or one is None or two is None:
        return None
    return one, two if match.similarity >= 0 else -two


def _place(unit: ComparedUnit) -> dict[str, Any]:
    address, _, dictionary = unit.address.partition("/")
    return {"address": address, "unit": unit.index} | ({"dictionary": dictionary} if dictionary else {})


def _name(unit: ComparedUnit) -> str:
    text, _, dictionary = unit.address.partition("/")
    try:
        return feature_id(Address.parse(text), dictionary or None, unit.index)
    except LabError:
        return f"{unit.address}:F{unit.index}"


def _label(unit: ComparedUnit) -> str:
    return unit.explanation or " ".join(word.strip() for word in unit.promoted[:5])
