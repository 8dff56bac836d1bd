# pyright: standard
"""Other ways to read the criterion, on the same split: a small set, directions and a probe beside the best coordinate.

Explore prompts choose and fit everything, confirm prompts only score it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect_handles import (
    AlikeGroup,
    AlikeMember,
    Handle,
    HandleComparison,
    HandleKind,
    Handles,
)
from interp_lab.errors import TooFewGroups
from interp_lab.methods.association import Association
from interp_lab.methods.directions import KINDS, fewer_coordinates, fit_direction, held_out_direction_scores
from interp_lab.methods.probe.fit import Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.methods.redundancy import Alike, redundancy
from interp_lab.methods.small_set import small_set
from interp_lab.statistics.auroc import auroc
from interp_lab.statistics.auroc_difference import INTERVAL_METHOD, auroc_difference
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.inspection.tables import LEVEL, Table

CANDIDATES = 24
"""Strongest coordinates that a small set is chosen from."""
COMPARED = 200
"""Strongest coordinates among which redundancy is looked for."""
MEMBERS = 12
DENSE_SITES, WIDE_SITES, WIDE = 12, 2, 8192
"""Sites that directions are fitted at: those whose best coordinates are strongest on explore prompts."""
DIGITS = 4
AUROC_INTERVAL = "Wilson, on the variance between prompt groups"
Floats = NDArray[np.float64]
Decoders = Callable[[Sequence[int]], NDArray[np.float64] | None]


class Site(NamedTuple):
    """Activations at one address, for directions."""

    name: str
    width: int
    values: Callable[[], NDArray[np.float32]]
    """Of every prompt `(n_prompts, width)`."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows and samples of both halves."""

    explore: NDArray[np.intp]
    confirm: NDArray[np.intp]
    found: Sample
    held: Sample | None
    seed: int

    @classmethod
    def of(cls, plan: Design) -> Parts:
        """Return the parts of a design."""
        explore, confirm = plan.rows("explore"), plan.rows("confirm")
        held = plan.sample.take(confirm) if confirm.size else None
        return cls(explore, confirm, plan.sample.take(explore), held, plan.split.seed)


class Way(NamedTuple):
    """One way, with its scores of the confirm prompts, higher where it says positive."""

    kind: HandleKind
    address: str
    members: tuple[str, ...]
    reach: float
    scores: Floats


def compare_handles(
    table: Table,
    plan: Design,
    explore: Association,
    *,
    sites: Sequence[Site] | None = None,
    decoders: Decoders | None = None,
) -> Handles:
    """Return every way and whether one coordinate is the best; directions are fitted at `sites`, or at the table's.

    Where directions are what is ranked, `sites` is empty: none is fitted beside them.
    """
    parts = Parts.of(plan)
    top = [int(column) for column in explore.strongest(COMPARED)]
    values = table.chosen(top)
    ways = [_coordinate(table, explore, top[0], parts)]
    ways.append(_small_set(table, top[:CANDIDATES], values[:, :CANDIDATES], parts))
    ways += _directions(_table_sites(table, explore) if sites is None else sites, parts)
    alike = redundancy(values[parts.explore], decoders=None if decoders is None else decoders(top))
    return Handles(
        ways=tuple(_handle(way, parts) for way in ways),
        comparison=_comparison(ways, parts),
        alike=tuple(_alike(group, [called(table, column) for column in top]) for group in alike),
        n_compared=len(top),
    )


def called(table: Table, column: int) -> str:
    """Return how a coordinate is named in reports."""
    site, index = table.locate(column)
    return f"{site} #{index}"


def _table_sites(table: Table, explore: Association) -> list[Site]:
    strength = np.abs(explore.auroc - 0.5)
    found = [
        (float(strength[columns].max()), Site(str(name), columns.stop - columns.start, _reader(table, columns)))
        for name, columns in table.columns.items()
    ]
    ordered = [site for _, site in sorted(found, key=lambda pair: -pair[0])]
    dense = [site for site in ordered if site.width <= WIDE][:DENSE_SITES]
    return dense or ordered[:WIDE_SITES]


def _reader(table: Table, columns: slice) -> Callable[[], NDArray[np.float32]]:
    return lambda: table.chosen(range(columns.start, columns.stop))


def _coordinate(table: Table, explore: Association, column: int, parts: Parts) -> Way:
    values = table.chosen([column])[:, 0]
    estimate = float(explore.auroc[column])
    sign = 1.0 if estimate >= 0.5 else -1.0
    reach = 0.5 + abs(estimate - 0.5)
    site = str(table.locate(column)[0])
    return Way("coordinate", site, (called(table, column),), reach, sign * values[parts.confirm].astype(np.float64))


def _small_set(table: Table, columns: Sequence[int], values: NDArray[np.float32], parts: Parts) -> Way:
    found = small_set(values[parts.explore], parts.found, seed=parts.seed)
    members = [columns[member] for member in found.members]
    sites = dict.fromkeys(str(table.locate(column)[0]) for column in members)
    names = tuple(called(table, column) for column in members)
    return Way("small_set", ", ".join(sites), names, found.reach[-1], found.scores(values[parts.confirm]))


def _directions(sites: Sequence[Site], parts: Parts) -> list[Way]:
    """Return the best of each kind of direction over the sites, and a probe where the discriminant is best."""
    best: dict[HandleKind, Way] = {}
    at: dict[str, Floats] = {}
    for site in sites:
        rows = fewer_coordinates(site.values())
        for kind in KINDS:
            scores = held_out_direction_scores(kind, rows[parts.explore], parts.found, seed=parts.seed)
            reach = _reach(scores, parts.found)
            if kind not in best or reach > best[kind].reach:
                direction = fit_direction(kind, rows[parts.explore], parts.found.labels)
                best[kind] = Way(kind, site.name, (), reach, rows[parts.confirm] @ direction)
                if kind == "linear_discriminant":
                    at = {site.name: rows}
    probe = _probe(best["linear_discriminant"], at, parts) if at else None
    return [*best.values(), *([probe] if probe else [])]


def _probe(discriminant: Way, at: Mapping[str, Floats], parts: Parts) -> Way | None:
    """Return a logistic probe at the site that the discriminant's held-out folds chose, whose reach stands for its."""
    rows = at[discriminant.address]
    target = Target("binary", parts.found.labels.astype(np.float64), ("negative", "positive"))
    try:
        probe = train(Prepared.of(rows[parts.explore]), target, parts.found.groups, seed=parts.seed)
    except TooFewGroups:
        return None
    scores = probe.linear.scores(rows[parts.confirm])[:, 0]
    return Way("probe", discriminant.address, (), discriminant.reach, scores)


def _reach(scores: Floats, sample: Sample) -> float:
    return float(auroc(scores[:, None], sample.labels)[0])


def _handle(way: Way, parts: Parts) -> Handle:
    confirm, interval = None, None
    if parts.held is not None:
        found = separation(way.scores[:, None], parts.held, level=LEVEL)
        confirm = round(float(found.auroc[0]), DIGITS)
        interval = Interval(
            low=round(float(found.low[0]), DIGITS),
            high=round(float(found.high[0]), DIGITS),
            level=LEVEL,
            method=AUROC_INTERVAL,
        )
    return Handle(
        kind=way.kind,
        address=way.address,
        members=way.members,
        explore_auroc=round(way.reach, DIGITS),
        confirm_auroc=confirm,
        confirm_interval=interval,
    )


def _comparison(ways: Sequence[Way], parts: Parts) -> HandleComparison:
    """Compare the coordinate with every other way at once, so that none that is better stays in the table unsaid."""
    alone, *rest = ways
    others = [way for way in rest if way.members != alone.members]
    if not others:
        text = f"{alone.members[0]} is the only way that was ranked, so it was compared with no other."
        return HandleComparison(best="untested", other=None, difference=None, interval=None, text=text)
    liked = max(others, key=lambda way: way.reach)
    if parts.held is None:
        text = "Too few prompt groups were set aside, so no way was scored on prompts that had no part in it."
        return HandleComparison(best="untested", other=liked.kind, difference=None, interval=None, text=text)
    level = 1 - (1 - LEVEL) / len(others)
    found = [(way, auroc_difference(way.scores, alone.scores, parts.held, level=level)) for way in others]
    better = [each for each in found if each[1].low > 0]
    best: Literal["coordinate", "other", "undecided"] = (
        "other" if better else "coordinate" if all(gap.high < 0 for _, gap in found) else "undecided"
    )
    other, (estimate, low, high) = max(better or found, key=lambda each: each[0].reach)
    where = f"the {other.kind.replace('_', ' ')} at {other.address}"
    gap = f"{abs(estimate):.2f} AUROC [{low:.2f}, {high:.2f}]"
    text = {
        "other": f"{alone.members[0]} is not the best handle: {where} is better on held-out prompts, by {gap}",
        "coordinate": f"{alone.members[0]} is better than every other way on held-out prompts; than {where} by {gap}",
        "undecided": f"{alone.members[0]} and {where} are not told apart on held-out prompts: they differ by {gap}",
    }[best]
    if len(better) > 1:
        text += "; so is one other way" if len(better) == 2 else f"; so are {len(better) - 1} other ways"
    interval = Interval(
        low=round(low, DIGITS),
        high=round(high, DIGITS),
        level=round(level, DIGITS),
        method=f"{INTERVAL_METHOD}; {len(others)} ways at once",
    )
    return HandleComparison(
        best=best, other=other.kind, difference=round(estimate, DIGITS), interval=interval, text=f"{text}."
    )


def _alike(group: Alike, names: Sequence[str]) -> AlikeGroup:
    members = [
        AlikeMember(
            name=names[member],
            correlation=round(group.correlation[i], DIGITS),
            firing=round(group.firing[i], DIGITS),
            decoder_cosine=None if (cosine := group.decoder[i]) is None else round(cosine, DIGITS),
        )
        for i, member in enumerate(group.members[:MEMBERS])
    ]
    return AlikeGroup(leader=names[group.leader], members=tuple(members), n_members=len(group.members))
