"""How often intervals hold their truth, and how often what is called is nothing, beside the stated rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from draws import Shape, columns, effects, families, group_codes, own_groups, rare, uneven_groups
from scipy.stats import norm

from interp_lab.methods.association import associate
from interp_lab.methods.causal_effect import contrast
from interp_lab.statistics.auroc_difference import auroc_difference
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

LEVEL = 0.05
COLUMNS = 300
SIZES: tuple[tuple[int, ...], ...] = ((1,), (4,), (1, 2, 8))
"""Rows of the groups, in turn."""
Row = dict[str, Any]


def aurocs(draws: int) -> Iterator[Row]:
    """Yield the coverage of the AUROC's interval by design and truth."""
    designs: list[tuple[str, int, Sample]] = [
        (f"groups of {size} with one label", 2 * per_class, own_groups(per_class, size))
        for size in (1, 4)
        for per_class in (4, 6, 10, 20, 50)
    ]
    designs += [("groups of 1, 2 and 8 with one label", n, uneven_groups(n)) for n in (12, 20, 40)]
    designs += [
        (f"families of {side} and {side}", n, families(n, (side, side))) for side in (1, 5) for n in (8, 12, 24, 48)
    ]
    for number, (design, n_groups, sample) in enumerate(designs):
        for truth in (0.5, 0.75, 0.9, 0.97):
            rng = np.random.default_rng([1, number, round(100 * truth)])
            found = separation(columns(rng, sample, truth, draws), sample)
            yield {"design": design, "n_groups": n_groups, "truth": truth} | _covered(found.low, found.high, truth)


def means(draws: int) -> Iterator[Row]:
    """Yield the coverage of the interval of a mean effect by shape, number and size of groups."""
    return _means(draws, ("normal", "skewed", "mostly zero"), 2)


def limits(draws: int) -> Iterator[Row]:
    """Yield the same where few groups cannot show what their interval would have to know."""
    return _means(draws, ("tail towards none", "mostly near zero"), 7)


def _means(draws: int, shapes: tuple[Shape, ...], part: int) -> Iterator[Row]:
    cases = ((shape, size, n) for shape in shapes for size in SIZES for n in (4, 6, 10, 20, 50))
    for number, (shape, size, n) in enumerate(cases):
        rng, groups = np.random.default_rng([part, number]), group_codes(n, size)
        given: list[tuple[float, float]] = []
        truth = 0.0
        for _ in range(draws):
            values, truth = effects(rng, groups, shape)
            interval = clustered_mean(values, groups).interval
            given += [] if interval is None else [interval]
        row: Row = {"design": shape, "rows": _sizes(size), "n_groups": n, "none": round(1 - len(given) / draws, 4)}
        ends = np.array(given)
        yield row | _covered(ends[:, 0], ends[:, 1], truth)


def shares(draws: int) -> Iterator[Row]:
    """Yield the coverage of the interval of a share by number and size of groups; rows of a group go together."""
    cases = ((truth, size, n) for truth in (0.5, 0.9) for size in SIZES for n in (4, 6, 10, 20, 50))
    for number, (truth, size, n) in enumerate(cases):
        rng, groups = np.random.default_rng([3, number]), group_codes(n, size)
        low, high = np.empty((2, draws))
        for k in range(draws):
            of_group, own = rng.normal(size=n)[groups], rng.normal(size=groups.size)
            together = own if groups.size == n else math.sqrt(0.6) * of_group + math.sqrt(0.4) * own
            found = clustered_share(together <= norm.ppf(truth), groups)
            low[k], high[k] = found.low, found.high
        yield {"design": f"share {truth}", "rows": _sizes(size), "n_groups": n} | _covered(low, high, truth)


def differences(draws: int) -> Iterator[Row]:
    """Yield the coverage of the paired difference of two AUROCs on the same rows."""
    designs = [(f"groups of {s} with one label", 2 * n, own_groups(n, s)) for s in (1, 4) for n in (6, 10, 20, 50)]
    designs += [("groups of 1, 2 and 8 with one label", n, uneven_groups(n)) for n in (12, 40)]
    designs += [(f"families of {s} and {s}", n, families(n, (s, s))) for s in (1, 5) for n in (8, 12, 24)]
    for number, (design, n_groups, sample) in enumerate(designs):
        for first, second in ((0.8, 0.8), (0.9, 0.7), (0.97, 0.9)):
            rng = np.random.default_rng([4, number, round(100 * first)])
            common = columns(rng, sample, 0.5, draws)
            one, other = (
                (common + columns(rng, sample, 0.5, draws)) / math.sqrt(2)
                + math.sqrt(2) * float(norm.ppf(truth)) * sample.labels[:, None]
                for truth in (first, second)
            )
            found = [auroc_difference(one[:, k], other[:, k], sample) for k in range(draws)]
            low, high = (np.array([getattr(each, end) for each in found]) for end in ("low", "high"))
            row: Row = {"design": design, "n_groups": n_groups, "truth": f"{first} and {second}"}
            yield row | _covered(low, high, first - second)


def contrasts(draws: int) -> Iterator[Row]:
    """Yield how often an effect that is no larger than that of its controls is called larger, at a level of 0.05."""
    cases = ((kinds, size, n) for kinds in (1, 3) for size in ((1,), (4,)) for n in (6, 10, 20, 50))
    for number, (kinds, size, n) in enumerate(cases):
        rng, groups = np.random.default_rng([5, number]), group_codes(n, size)
        called = 0
        for _ in range(draws):
            rows = [effects(rng, groups, "normal")[0] for _ in range(kinds + 1)]
            found = contrast(rows[0], np.array(rows[1:]), groups)
            called += not found.low <= 0 <= found.high
        row: Row = {"design": f"{kinds} kind{'s' * (kinds > 1)} of control", "rows": _sizes(size), "n_groups": n}
        yield row | _counted(called, draws)


def discoveries(runs: int) -> Iterator[Row]:
    """Yield the false discovery rate at q <= 0.05 by design, kind of column and share that follow nothing."""
    designs: tuple[tuple[str, Sample], ...] = (
        ("24 prompts", own_groups(12, 1)),
        ("80 prompts", own_groups(40, 1)),
        ("24 groups of 4", own_groups(12, 4)),
        ("12 families of 4 and 4", families(12, (4, 4))),
        ("24 families of 1 and 1", families(24, (1, 1))),
        ("12 families of unequal sides", families(12, None)),
    )
    kinds = ("dense", "dense, with a part in common", "rare")
    for number, (design, sample) in enumerate(designs):
        for place, kind in enumerate(kinds):
            for null_share in (1.0, 0.9, 0.5):
                rng = np.random.default_rng([6, number, place, round(10 * null_share)])
                n_planted = round((1 - null_share) * COLUMNS)
                shares = [_proportion(rng, sample, kind, n_planted) for _ in range(runs)]
                row: Row = {"design": design, "columns": kind, "null_share": null_share}
                yield row | _rate([each[0] for each in shares], [each[1] for each in shares])


def _proportion(rng: np.random.Generator, sample: Sample, kind: str, n_planted: int) -> tuple[float, float]:
    """Return the share of false ones among what is called, and the share of planted ones that are called."""
    if kind == "rare":
        table = rare(rng, sample, COLUMNS, planted=n_planted)
    else:
        table = columns(rng, sample, 0.5, COLUMNS)
        if kind != "dense":
            table = math.sqrt(0.5) * (table + columns(rng, sample, 0.5, 1))
        table[:, :n_planted] += 2.0 * sample.labels[:, None]
    called = associate(table, sample).q <= LEVEL
    false = int(called[n_planted:].sum())
    return false / max(1, int(called.sum())), float(called[:n_planted].mean()) if n_planted else math.nan


def _rate(shares: Sequence[float], power: Sequence[float]) -> Row:
    found = clustered_mean(shares, np.arange(len(shares)))
    any_false = sum(share > 0 for share in shares)
    low, high = max(0.0, found.low), found.high
    if any_false in (0, sum(shares)):  # every share is 0 or 1: a mean without a spread would have no interval
        of_runs = clustered_share([share > 0 for share in shares], range(len(shares)))
        low, high = of_runs.low, of_runs.high
    return {
        "rate": round(found.mean, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "runs": len(shares),
        "runs_with_a_false_one": any_false,
        "found": None if math.isnan(power[0]) else round(float(np.mean(power)), 3),
    }


def _covered(low: Any, high: Any, truth: float) -> Row:
    inside = int(((low <= truth) & (truth <= high)).sum())
    sides = {"truth_below": int((truth < low).sum()), "truth_above": int((truth > high).sum())}
    return _counted(inside, len(low)) | sides


def _counted(n: int, draws: int) -> Row:
    found = clustered_share(np.arange(draws) < n, np.arange(draws))
    return {"rate": round(found.share, 4), "low": round(found.low, 4), "high": round(found.high, 4), "draws": draws}


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)
