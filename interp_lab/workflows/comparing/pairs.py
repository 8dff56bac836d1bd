# pyright: standard
"""Which units are put forward as the same: chosen on explore prompts, tested on confirm prompts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from interp_lab.contracts.compare import CompareRequest
from interp_lab.methods.pattern_match import PairTest, judge_pairs, similarities
from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.assignment import best_assignment
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.comparing.sides import ReadSide


class Pair(NamedTuple):
    """A left column, a right column, and how they came together on explore prompts."""

    left: int
    right: int
    kind: Literal["one_to_one", "nearest", "imported"]
    explore: float


class Tested(NamedTuple):
    """Pairs with what confirm prompts say of them."""

    pairs: tuple[Pair, ...]
    test: PairTest | None
    """None without confirm prompts."""
    q: Floats | None
    """Over all pairs, of the larger p of each."""


def choose_pairs(left: ReadSide, right: ReadSide, request: CompareRequest) -> tuple[Pair, ...]:
    """Return the best one-to-one assignment of both sides, and the nearest of each left unit if it is another."""
    ours, theirs = left.chosen(request.n_units), right.chosen(request.n_units)
    alike = similarities(left.patterns("explore").of(ours), right.patterns("explore").of(theirs))
    rows, columns = best_assignment(np.abs(alike))
    pairs = [Pair(ours[i], theirs[j], "one_to_one", float(alike[i, j])) for i, j in zip(rows, columns, strict=True)]
    assigned = {(pair.left, pair.right) for pair in pairs}
    for i, column in enumerate(ours):
        j = int(np.argmax(np.abs(alike[i])))
        if (column, theirs[j]) not in assigned:
            pairs.append(Pair(column, theirs[j], "nearest", float(alike[i, j])))
    return tuple(pairs)


def judge(left: ReadSide, right: ReadSide, pairs: tuple[Pair, ...], request: CompareRequest) -> Tested:
    """Return the pairs with similarity, interval, both p-values and q on confirm prompts."""
    if left.confirm is None or right.confirm is None:
        return Tested(pairs, None, None)
    found = judge_pairs(
        left.patterns("confirm"),
        right.patterns("confirm"),
        [(pair.left, pair.right) for pair in pairs],
        n_permutations=request.n_permutations,
        seed=request.seed,
    )
    return Tested(pairs, found, benjamini_hochberg(np.maximum(found.p_prompts, found.p_units)))
