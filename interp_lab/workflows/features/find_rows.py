"""Latents by the rows on which they are active: counted over all of them, then the best tested as a query would.

Being active on matching rows and not elsewhere is ranked by phi, the correlation of the two. The q-value is that of
the AUROC test, corrected over every latent searched: those that were not tested count with p = 1, so that q can be
too large but never too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from interp_lab.contracts.features import LabelSearch, SearchFeaturesRequest, TextSearch, TokensSearch
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.block_association import AUROC_INTERVAL, TEST, Association, associate
from interp_lab.statistics.coactivation import lift, overlap
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.features.hits import BEST, Hits
from interp_lab.workflows.features.matching import Match, match
from interp_lab.workflows.features.neighbours import first
from interp_lab.workflows.features.prepared import prepared
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.scope import Place, places
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.columns import Source, unit_blocks

_LEAST_BOTH = 2
MAX_ENTRIES = 2_000_000
"""Stored values of the latents that are tested while the caller waits."""
_HEADERS = (
    ("feature", "COLUMN#UNIT"),
    ("phi", "correlation of being active with matching, over rows; the ranking"),
    ("lift", "share of its active rows that match, over the share of all rows that do"),
    ("rate_in", "share of matching rows on which it is active"),
    ("rate_out", "the same of other rows"),
    ("both", "matching rows on which it is active"),
    ("active", "rows on which it is active"),
    ("auroc", "probability that its value is higher on a matching row; 0.5 is none; absent where it was not tested"),
    ("low", "95 % interval of auroc; counts independent groups"),
    ("high", "95 % interval"),
    ("q", "Benjamini-Hochberg over all latents searched, an upper bound"),
    ("store", "which store of the request, from 0"),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """All latents of one column beside the rows that match."""

    place: Place
    match: Match
    both: Ints
    active: Ints
    phi: Floats


class _Ranked(NamedTuple):
    """One latent among the best."""

    counted: _Counted
    unit: int


class _Test(NamedTuple):
    """What the exact test says of one latent."""

    estimate: float
    low: float
    high: float
    p: float


def find_by_rows(request: SearchFeaturesRequest, settings: Settings) -> Hits:
    """Return the latents that are active on the rows that match and not on others; errors as `places` and `match`."""
    by = request.by
    assert isinstance(by, TokensSearch | TextSearch | LabelSearch)
    counted = [_counted(place, match(place.view, by)) for place in places(request, settings)]
    ranked = _best(counted)
    tests = _tests(ranked)
    searched = sum(each.place.width for each in counted)
    q = _q_values(tests, searched)

    def row(number: int) -> Row:
        return _row(ranked[number], tests.get(number), q.get(number))

    return Hits(
        headers=_HEADERS,
        total=len(ranked),
        make=lambda start, stop: [row(number) for number in range(start, stop)],
        searched=searched,
        found=_sentence(ranked, counted, searched),
        facts=_facts(counted, len(tests)),
        warnings=_warnings(ranked, tests),
        actions=lambda _: ranked[0].counted.place.actions(ranked[0].unit),
    )


def _counted(place: Place, found: Match) -> _Counted:
    """Count from whichever side has fewer rows."""
    gather = prepared(place.view).gather(place.column)
    n_known, n_matching = int(np.count_nonzero(found.known)), int(np.count_nonzero(found.rows))
    active = place.view.store.codes(place.column).counts
    if n_known < place.view.n_rows:
        active = active - gather.counts(np.flatnonzero(~found.known))
    if 2 * n_matching <= n_known:
        both = gather.counts(np.flatnonzero(found.rows))
    else:
        both = active - gather.counts(np.flatnonzero(found.known & ~found.rows))
    phi = overlap(both, n_matching, active, n_rows=n_known).phi
    return _Counted(place, found, both, active, np.where(both >= _LEAST_BOTH, phi, -1.0))


def _best(counted: list[_Counted]) -> list[_Ranked]:
    """Return the latents with the largest positive phi, over all columns together."""
    each = [(float(some.phi[unit]), some, int(unit)) for some in counted for unit in first(-some.phi, BEST)]
    each = sorted((one for one in each if one[0] > 0), key=lambda one: -one[0])
    return [_Ranked(some, unit) for _, some, unit in each[:BEST]]


def _tests(ranked: list[_Ranked]) -> dict[int, _Test]:
    """Test the best, as many as can be tested at once, by number in the ranking."""
    room, chosen = MAX_ENTRIES, list[int]()
    for number, (counted, unit) in enumerate(ranked):
        room -= int(counted.active[unit])
        if room < 0 and chosen:
            break
        chosen.append(number)
    found: dict[int, _Test] = {}
    for counted in {id(ranked[number].counted): ranked[number].counted for number in chosen}.values():
        numbers = {ranked[number].unit: number for number in chosen if ranked[number].counted is counted}
        units = np.array(sorted(numbers))
        found |= {numbers[int(unit)]: test for unit, test in zip(units, _exact(counted, units), strict=False)}
    return found


def _exact(counted: _Counted, units: Ints) -> list[_Test]:
    """Return the tests of some latents, none if the rows allow none."""
    known = prepared(counted.place.view)
    target = known.target_of(counted.match.name, counted.match.rows, counted.match.known)
    if target.why_unusable(known.rows.clusters) is not None:
        return []
    source = Source(known.rows, counted.place.column)
    parts = [associate(block, target) for _, (block,) in unit_blocks([source], units)]
    return [_test(part, place) for part in parts for place in range(part.p.size)]


def _test(part: Association, place: int) -> _Test:
    return _Test(*(float(values[place]) for values in (part.estimate, part.low, part.high, part.p)))


def _q_values(tests: dict[int, _Test], searched: int) -> dict[int, float]:
    numbers = list(tests)
    p = np.ones(searched)
    p[: len(numbers)] = [tests[number].p for number in numbers]
    return dict(zip(numbers, benjamini_hochberg(p)[: len(numbers)].tolist(), strict=True))


def _row(ranked: _Ranked, test: _Test | None, q: float | None) -> Row:
    counted, unit = ranked
    both, active = int(counted.both[unit]), int(counted.active[unit])
    n_rows, n_matching = int(np.count_nonzero(counted.match.known)), int(np.count_nonzero(counted.match.rows))
    found = lift(both, active, n_matching=n_matching, n_rows=n_rows)
    rates = (rounded(float(value)) for value in (counted.phi[unit], found.lift, found.inside, found.outside))
    tested = (None, None, None) if test is None else tuple(rounded(each) for each in test[:3])
    shown = None if q is None else rounded(q)
    return counted.place.feature(unit), *rates, both, active, *tested, shown, counted.place.store


def _sentence(ranked: list[_Ranked], counted: list[_Counted], searched: int) -> str:
    name = counted[0].match.name
    if not ranked:
        return f"None of {searched} latents is active on two rows or more with {name} and more often than elsewhere"
    best, unit = ranked[0]
    n_matching = int(np.count_nonzero(best.match.rows))
    return (
        f"Of {searched} latents, {best.place.feature(unit)} follows {name} most closely: active on "
        f"{int(best.both[unit])} of {n_matching} matching rows and {int(best.active[unit] - best.both[unit])} others"
    )


def _facts(counted: list[_Counted], n_tested: int) -> dict[str, Any]:
    by_store = {each.place.store: each for each in counted}.values()
    matched = [
        {
            "rows": int(np.count_nonzero(each.match.rows)),
            "of_rows": int(np.count_nonzero(each.match.known)),
            "groups": int(np.unique(_groups(each)).size),
        }
        for each in by_store
    ]
    return {"matched": matched, "tested": n_tested, "interval": AUROC_INTERVAL, "test": TEST}


def _groups(counted: _Counted) -> Ints:
    view = counted.place.view
    return view.prompt_group[view.row_prompt[counted.match.rows]]


def _warnings(ranked: list[_Ranked], tests: dict[int, _Test]) -> tuple[str, ...]:
    if ranked and not tests:
        return ("Nothing was tested: the rows that match are of one independent group, or the others are.",)
    return ()
