# pyright: standard
"""Maps of what each patch does on explore pairs, and the strongest places again on held-out pairs beside controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.patch_report import PatchComponent, PatchWay
from interp_lab.engine.edits import Slice
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.patching import Cell, head_parts, layer_parts, patched
from interp_lab.errors import ImpossibleEdit
from interp_lab.methods.causal_effect import Contrast, contrast
from interp_lab.methods.patch_shares import patch_shares
from interp_lab.models.load import LoadedModel
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.statistics.clustered_ratio import RatioEstimate, clustered_ratio
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.patching.pairs import Pair, Pairs

Floats = NDArray[np.float64]
LEAST_SHARE = 0.02
"""Share of the behaviour that a place must move beyond its controls, which are near 0 on average."""


@dataclass(frozen=True, slots=True)
class Place:
    """One cell of a map."""

    component: PatchComponent
    layer: int
    column: int
    """Of maps by token, the token or role; of heads, the head."""


@dataclass(frozen=True, eq=False)
class Grid:
    """What patches of one component do, one way."""

    component: PatchComponent
    way: PatchWay
    share: Floats
    """`(layer, column)`."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Everything that was measured on explore pairs."""

    grids: tuple[Grid, ...]
    clean: Floats
    """Logit difference of each clean prompt."""
    corrupt: Floats
    difference: MeanEstimate | None
    """Of clean less corrupt; None of a single group, which says nothing of others."""
    n_runs: int


@dataclass(frozen=True, eq=False)
class Tested:
    """One place on held-out pairs."""

    place: Place
    way: PatchWay
    explore_share: float
    share: RatioEstimate | None = None
    contrast: Contrast | None = None
    q: float | None = None


@dataclass(frozen=True, eq=False)
class Bench:
    """What patches pairs: the model, the behaviour and the parts that can be patched."""

    loaded: LoadedModel
    behaviour: Behaviour
    pairs: Pairs
    components: tuple[PatchComponent, ...]
    ways: tuple[PatchWay, ...]
    check: Callable[[], None]
    seed: int

    @cached_property
    def parts(self) -> Mapping[PatchComponent, list[list[Slice]]]:
        """What is patched, by layer and, for heads, head."""
        return {component: self._parts(component) for component in self.components}

    def _parts(self, component: PatchComponent) -> list[list[Slice]]:
        if component != "heads":
            return [[part] for part in layer_parts(self.loaded, component)]
        parts, n = head_parts(self.loaded), self.loaded.facts.n_heads or 1
        return [list(parts[start : start + n]) for start in range(0, len(parts), n)]

    def places(self) -> list[Place]:
        """Return every cell of every map."""
        columns = range(len(self.pairs.columns))
        return [
            Place(component, layer, column)
            for component in self.components
            for layer, parts in enumerate(self.parts[component])
            for column in (range(len(parts)) if component == "heads" else columns)
        ]

    def cell(self, place: Place, pair: Pair, turned: int | None = None) -> Cell | None:
        """Return the patch of a place in a pair; None where the pair has no such tokens."""
        row = self.parts[place.component][place.layer]
        if place.component == "heads":
            return Cell(row[place.column], turned=turned)
        tokens = pair.places(place.column, self.pairs.kind)
        return Cell(row[0], tokens, turned) if tokens else None

    def run(self, pair: Pair, cells: Sequence[Cell | None], way: PatchWay) -> tuple[Floats, float, float]:
        """Return the change that each patch makes towards the other run, NaN where there is no patch, and both ends."""
        self.check()
        kept = [cell for cell in cells if cell is not None]
        found = patched(self.loaded, pair.clean, pair.corrupt, self.behaviour, cells=kept, way=way)
        changes = np.full(len(cells), np.nan)
        changes[[i for i, cell in enumerate(cells) if cell is not None]] = found.edited.numpy() - found.begin
        ends = (found.other, found.begin) if way == "denoising" else (found.begin, found.other)
        return changes * (1.0 if way == "denoising" else -1.0), *ends


def maps(bench: Bench, groups: Sequence[int], progress: Callable[[int], None]) -> Maps:
    """Return the maps over explore pairs; a share is the mean change over the mean difference of the runs.

    Raises:
        ImpossibleEdit: Clean prompts do not have more of the behaviour than corrupt ones.
    """
    places, pairs = bench.places(), bench.pairs.explore
    changes = np.zeros((len(bench.ways), len(pairs), len(places)))
    ends = np.zeros((len(pairs), 2))
    for row, pair in enumerate(pairs):
        progress(row)
        cells = [bench.cell(place, pair) for place in places]
        for column, way in enumerate(bench.ways):
            changes[column, row], *ends[row] = bench.run(pair, cells, way)
    apart = ends[:, 0] - ends[:, 1]
    if float(apart.mean()) <= 1e-6:
        raise ImpossibleEdit(
            f"Clean prompts have a mean logit difference {apart.mean():.3g} above corrupt ones, so there is nothing to "
            "bring back.",
            remedy="Give targets that clean prompts make likelier, and alternatives that corrupt ones do.",
        )
    has = ~np.isnan(changes)
    shares = patch_shares(changes, apart)
    grids = tuple(
        Grid(component, way, _as_grid(places, shares[row], component))
        for component in bench.components
        for row, way in enumerate(bench.ways)
    )
    difference = clustered_mean(apart, groups) if len(set(groups)) > 1 else None
    return Maps(grids, ends[:, 0], ends[:, 1], difference, int(has.sum()))


def strongest(bench: Bench, found: Maps, n: int) -> list[tuple[Place, PatchWay, float]]:
    """Return the places to test: what components write, since the stream holds everything that came before."""
    written = [grid for grid in found.grids if grid.component != "resid_pre"] or list(found.grids)
    chosen: list[tuple[Place, PatchWay, float]] = []
    for way in bench.ways:
        own: list[tuple[Place, PatchWay, float]] = [
            (Place(grid.component, int(layer), int(column)), way, float(share))
            for grid in written
            if grid.way == way
            for (layer, column), share in np.ndenumerate(grid.share)
        ]
        chosen += sorted(own, key=lambda one: -abs(one[2]))[:n]
    return chosen


def test(
    bench: Bench,
    chosen: Sequence[tuple[Place, PatchWay, float]],
    groups: Sequence[int],
    *,
    n_controls: int,
    progress: Callable[[int], None],
) -> tuple[list[Tested], int]:
    """Return the places on held-out pairs beside random changes of the same length, and how many runs that took."""
    pairs = bench.pairs.confirm
    if len(set(groups)) < 2:
        return [Tested(place, way, share) for place, way, share in chosen], 0
    changes = np.zeros((len(chosen), 1 + n_controls, len(pairs)))
    apart = np.zeros(len(pairs))
    for column, pair in enumerate(pairs):
        progress(column)
        for way in bench.ways:
            own = [i for i, one in enumerate(chosen) if one[1] == way]
            cells = [bench.cell(chosen[i][0], pair, seed) for i in own for seed in _seeds(bench, i, pair, n_controls)]
            moved, clean, corrupt = bench.run(pair, cells, way)
            changes[own, :, column] = moved.reshape(len(own), -1)
            apart[column] = clean - corrupt
    found = [_compared(rows, apart, np.asarray(groups)) for rows in changes]
    q = iter(benjamini_hochberg([one.p for _, one in filter(None, found)]))
    tested = [
        Tested(place, way, share) if one is None else Tested(place, way, share, *one, float(next(q)))
        for (place, way, share), one in zip(chosen, found, strict=True)
    ]
    return tested, int((~np.isnan(changes)).sum())


def _compared(rows: Floats, apart: Floats, groups: NDArray[np.intp]) -> tuple[RatioEstimate, Contrast] | None:
    """A place beside its controls, over the pairs that have it; None if those tell nothing."""
    has = ~np.isnan(rows[0])
    if len(set(groups[has].tolist())) < 2 or float(apart[has].sum()) <= 0:
        return None
    unit = float(apart[has].mean())
    controls = rows[1:, has].mean(axis=0)[None] / unit
    one = contrast(rows[0, has] / unit, controls, groups[has], floor=LEAST_SHARE)
    return clustered_ratio(rows[0, has], apart[has], groups[has]), one


def _seeds(bench: Bench, place: int, pair: Pair, n: int) -> list[int | None]:
    return [None, *(bench.seed * 1_000_003 + (place * 101 + number) * 100_003 + pair.number for number in range(n))]


def _as_grid(places: Sequence[Place], shares: Floats, component: PatchComponent) -> Floats:
    own = [(place, share) for place, share in zip(places, shares, strict=True) if place.component == component]
    return np.array([share for _, share in own]).reshape(1 + max(place.layer for place, _ in own), -1)
