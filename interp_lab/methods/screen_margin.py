"""Which sources an estimate may not leave out, by its error on sources drawn at random, and what it misses even so.

An estimate ranks sources; its error says how far down the list a source of large effect may stand. Sources drawn at
random give a bound that holds for a stated share of all, whatever the errors look like; a source is kept unless its
estimate times that bound stays below the cut. What lies beyond is told by those drawn from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.wilson import wilson_interval

LEVEL = 0.98
Places = NDArray[np.intp]


def strengths(effects: Floats, typical: Floats) -> Floats:
    """Return the largest effect `(n_sources,)` of each source `(n_sources, n_targets)`, as a share of its target.

    Targets that hardly vary, `typical` below a millionth of the largest, count for nothing.
    """
    size = np.where(typical > 1e-6 * float(typical.max(initial=0.0)), typical, np.inf)
    return (np.abs(effects) / size).max(axis=1)


def error_bound(estimated: Floats, exact: Floats, *, level: float = LEVEL) -> float:
    """Return times its estimate below which the exact strength of a further source lies with that probability.

    Both are of sources drawn at random `(n,)`; infinite where these are too few, or too many of them have an effect
    that the estimate does not see.

    Source: the quantile of split conformal prediction (Vovk, Gammerman and Shafer 2005), of a ratio.
    """
    ratio = np.where(estimated > 0, exact / np.maximum(estimated, 1e-300), np.where(exact > 0, np.inf, 0.0))
    place = int(np.ceil((ratio.size + 1) * level)) - 1
    return float(np.sort(ratio)[place]) if place < ratio.size else float("inf")


def within_margin(estimated: Floats, bound: float, cut: float, *, most: int) -> Places:
    """Return the sources whose estimate times the bound reaches the cut, at most so many, the largest first."""
    reach = estimated if np.isinf(bound) else np.where(estimated * bound >= cut, estimated, -1.0)
    order = np.argsort(-reach, kind="stable")
    return order[reach[order] >= 0][:most]


class Recall(NamedTuple):
    """Share of the sources at or above the cut that were compared exactly."""

    share: float
    low: float
    high: float


def recall_of(n_found: int, n_left: int, *, n_drawn: int, n_missed: int) -> Recall | None:
    """Return the expected recall where `n_left` sources were not compared; None where nothing tells it.

    Of sources like them `n_drawn` were drawn at random and compared all the same, `n_missed` of which reach the cut.
    """
    if n_left == 0:
        return Recall(1.0, 1.0, 1.0)
    if n_drawn == 0 or n_found == 0:
        return None
    missed = n_missed / n_drawn
    low, high = (float(end) for end in wilson_interval(missed, n_drawn))
    share, least, most = (n_found / (n_found + n_left * each) for each in (missed, high, low))
    return Recall(share, least, most)


class Widened(NamedTuple):
    """Sources compared exactly because an estimate, or its error, does not rule them out."""

    places: Places
    exact: Floats
    """Their strengths."""
    bound: float
    """Times its estimate below which the exact strength of most sources lies; infinite where nothing bounds it."""
    recall: Recall | None
    """Of the strongest so many."""


def widen(
    estimated: Floats,
    exact_of: Callable[[Places, Literal["drawn", "margin"]], Floats],
    n: int,
    *,
    n_drawn: int,
    most: int,
    seed: int,
) -> Widened:
    """Return the sources that are compared to find the `n` strongest.

    The largest of `estimated` `(n_sources,)` and some drawn at random come first, then at most `most` of those that the
    error of these leaves open. `exact_of` gives the exact strengths of places; it is asked once or twice, with
    the name of the step.
    """
    best = np.argsort(-estimated, kind="stable")[:n]
    others = np.setdiff1d(np.arange(len(estimated)), best)
    drawn = np.random.default_rng((seed, 11)).permutation(others)[:n_drawn]
    places = np.concatenate([best, drawn])
    exact = exact_of(places, "drawn")
    of_drawn = exact[len(best) :]
    bound, rest = error_bound(estimated[drawn], of_drawn), np.setdiff1d(others, drawn)
    taken = rest[within_margin(estimated[rest], bound, _cut(exact, n), most=most)]
    if len(taken):
        places, exact = np.concatenate([places, taken]), np.concatenate([exact, exact_of(taken, "margin")])
    left, cut = np.setdiff1d(rest, taken), _cut(exact, n)
    edge = float(estimated[left].max()) if len(left) else -1.0
    beyond = estimated[drawn] <= edge  # like those that were left, and compared all the same
    missed = int((of_drawn[beyond] >= cut).sum())
    recall = recall_of(int((exact >= cut).sum()), len(left), n_drawn=int(beyond.sum()), n_missed=missed)
    return Widened(places, exact, bound, recall)


def _cut(exact: Floats, n: int) -> float:
    """The strength that a source has to have to be among the strongest so many; above 0, which is no effect at all."""
    return max(float(np.sort(exact)[-min(n, len(exact))]), float(np.finfo(np.float64).tiny))
