# pyright: standard
"""Pairs by what they do: effects on the words that both models know choose them on explore prompts and test them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.compare import CompareRequest, Transfer
from interp_lab.errors import InvalidRequest
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.jobs.run import Run
from interp_lab.methods.direction_map import LinearMap
from interp_lab.methods.effect_match import LEAST_WORDS, alike, beyond_control, is_harmless, judge_vectors
from interp_lab.methods.pattern_match import PairTest, similarities
from interp_lab.statistics.assignment import best_assignment
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.comparing.components import LEAST_R2, Effect, Places
from interp_lab.workflows.comparing.edits import Moved, Words, ablations, shared_words, steered
from interp_lab.workflows.comparing.pairs import Pair, Tested
from interp_lab.workflows.comparing.sides import ReadSide

SIDE_EFFECT_SHARE = 0.5
"""Largest accepted change on negatives, as a share of that on positives."""
_LEAST_RANDOM = 40
"""Fewest random directions that a carried direction has to be closer than."""
_BEHAVIOUR = "logits of shared words"


Judging = NDArray[np.intp]
"""Places among the shared words: two units that are alike on the words that chose them are so on the same words again,
whatever the prompts, so other words have to say whether they are."""


class Acted(NamedTuple):
    """What both sides do, and the pairs by it."""

    tested: Tested
    words: Words
    judging: Judging
    """Places of the words on which pairs were tested."""
    left_effects: dict[str, Effect]
    right_effects: dict[str, Effect]
    side_effects: frozenset[str]
    """Units, with the side before them, that change negatives more than the bound."""
    responses: dict[Pair, float]
    """Correlation of responses to confirm prompts."""


def compare_effects(
    left: ReadSide, right: ReadSide, request: CompareRequest, *, named: Sequence[Pair] | None, run: Run
) -> Acted:
    """Return the pairs by what their units do.

    Raises:
        InvalidRequest: A side was not run, or the models have too few words in common.
        ImpossibleEdit, HookPointUnavailable: A unit cannot be edited.
    """
    words = shared_words(left, right)
    if len(words.texts) < 2 * LEAST_WORDS:
        raise InvalidRequest(f"The models have {len(words.texts)} words in common; {2 * LEAST_WORDS} are needed.")
    choosing, judging = _halves(len(words.texts), request.seed)
    ours = left.chosen(request.n_units) if named is None else tuple(dict.fromkeys(pair.left for pair in named))
    theirs = right.chosen(request.n_units) if named is None else tuple(dict.fromkeys(pair.right for pair in named))
    one = ablations(left, ours, words.left, n_controls=request.n_controls, run=run)
    two = ablations(right, theirs, words.right, n_controls=request.n_controls, run=run)
    close = alike(_mean(left, one, "explore")[:, choosing], _mean(right, two, "explore")[:, choosing])
    pairs = _chosen(close, ours, theirs) if named is None else _named(close, ours, theirs, named)
    tested = _tested(left, right, pairs, request=request, moved=(one.of(judging), two.of(judging)),
                     columns=(ours, theirs))  # fmt: skip
    left_effects, left_side = _effects(left, one, ours, "left")
    right_effects, right_side = _effects(right, two, theirs, "right")
    responses = _responses(left, right, pairs)
    return Acted(tested, words, judging, left_effects, right_effects, left_side | right_side, responses)


def _halves(n_words: int, seed: int) -> tuple[Judging, Judging]:
    """Return the places of the words that choose pairs, and of those that test them."""
    order = np.random.default_rng(seed).permutation(n_words)
    return np.sort(order[: n_words // 2]), np.sort(order[n_words // 2 :])


def transfers(
    left: ReadSide,
    right: ReadSide,
    acted: Acted,
    maps: dict[tuple[Places, Places], LinearMap],
    *,
    request: CompareRequest,
    run: Run,
) -> dict[Pair, Transfer]:
    """Return what the left direction of the closest pairs does after it was carried to the right model."""
    found: dict[Pair, Transfer] = {}
    n_random = max(_LEAST_RANDOM, round(request.n_transfers / Q_LEVEL))  # so that one of them alone can reach the level
    # closest on what chose the pairs, so that what is measured of them here has had no part in it
    order = np.argsort([-pair.explore for pair in acted.tested.pairs]) if acted.tested.test is not None else ()
    for place in order:
        pair = acted.tested.pairs[int(place)]
        a, b, vector = left.stream_address(pair.left), right.stream_address(pair.right), left.direction(pair.left)
        fitted = maps.get((a, b))
        if len(found) >= request.n_transfers or fitted is None or vector is None or fitted.held_out_r2 < LEAST_R2:
            continue
        assert a is not None
        assert b is not None
        left_words, right_words = ([side[i] for i in acted.judging] for side in (acted.words.left, acted.words.right))
        own = steered(left, a, vector, left_words, n_controls=2, run=run)
        other = steered(right, b, fitted.carried(vector), right_words, n_controls=n_random, run=run)
        rows, groups = _rows(left, own, "confirm")
        test = judge_vectors(
            own.effects[:, rows], other.effects[:, rows], other.controls, groups,
            n_permutations=request.n_permutations, seed=request.seed,
        )  # fmt: skip
        random = alike(own.effects[:, rows].mean(1), other.controls)[0]
        found[pair] = Transfer(
            held_out_r2=round(fitted.held_out_r2, 4),
            similarity=_rounded(test.similarity[0]),
            interval=(_rounded(test.low[0]), _rounded(test.high[0])),
            p_value=float(max(test.p_words[0], test.p_controls[0])),
            control=_rounded(random.mean()),
            closest_control=_rounded(random.max()),
            n_controls=len(random),
        )
    q = benjamini_hochberg(np.array([each.p_value for each in found.values()])) if found else ()
    return {
        pair: each.model_copy(update={"q_value": float(value)})
        for (pair, each), value in zip(found.items(), q, strict=True)
    }


def _chosen(close: NDArray[np.float64], ours: Sequence[int], theirs: Sequence[int]) -> tuple[Pair, ...]:
    rows, columns = best_assignment(close)
    pairs = [Pair(ours[i], theirs[j], "one_to_one", float(close[i, j])) for i, j in zip(rows, columns, strict=True)]
    assigned = {(pair.left, pair.right) for pair in pairs}
    for i, column in enumerate(ours):
        j = int(np.argmax(close[i]))
        if (column, theirs[j]) not in assigned:
            pairs.append(Pair(column, theirs[j], "nearest", float(close[i, j])))
    return tuple(pairs)


def _named(
    close: NDArray[np.float64], ours: Sequence[int], theirs: Sequence[int], named: Sequence[Pair]
) -> tuple[Pair, ...]:
    return tuple(
        Pair(pair.left, pair.right, pair.kind, float(close[ours.index(pair.left), theirs.index(pair.right)]))
        for pair in named
    )


def _tested(
    left: ReadSide,
    right: ReadSide,
    pairs: tuple[Pair, ...],
    *,
    request: CompareRequest,
    moved: tuple[Moved, Moved],
    columns: tuple[Sequence[int], Sequence[int]],
) -> Tested:
    if left.confirm is None or right.confirm is None:
        return Tested(pairs, None, None)
    rows, groups = _rows(left, moved[0], "confirm")
    one = moved[0].effects[[columns[0].index(pair.left) for pair in pairs]][:, rows]
    two = moved[1].effects[[columns[1].index(pair.right) for pair in pairs]][:, rows]
    test = judge_vectors(
        one, two, moved[1].controls, groups,
        n_permutations=request.n_permutations, seed=request.seed, left_controls=moved[0].controls,
    )  # fmt: skip
    found = PairTest(test.similarity, test.low, test.high, test.p_words, test.p_controls)
    return Tested(pairs, found, benjamini_hochberg(np.maximum(test.p_words, test.p_controls)))


def _rows(
    side: ReadSide, moved: Moved, part: str, *, positive: bool = True
) -> tuple[NDArray[np.intp], NDArray[np.generic]]:
    """Return places among the rows that were run, and their groups."""
    wanted = {int(row) for row in side.plan.rows("explore" if part == "explore" else "confirm")}
    labels = side.plan.sample.labels
    places = [i for i, row in enumerate(moved.rows) if row in wanted and bool(labels[row]) is positive]
    groups = np.asarray(side.plan.sample.groups)[[moved.rows[i] for i in places]]
    return np.asarray(places, dtype=np.intp), groups


def _mean(side: ReadSide, moved: Moved, part: str) -> NDArray[np.float32]:
    return moved.effects[:, _rows(side, moved, part)[0]].mean(1)


def _effects(
    side: ReadSide, moved: Moved, columns: Sequence[int], name: str
) -> tuple[dict[str, Effect], frozenset[str]]:
    found: dict[str, Effect] = {}
    beside: set[str] = set()
    if side.confirm is None:  # along what explore prompts showed they are large for want of other prompts
        return found, frozenset()
    rows, groups = _rows(side, moved, "confirm")
    off, off_groups = _rows(side, moved, "confirm", positive=False)
    for place, column in enumerate(columns):
        site, index = side.locate(column)
        beyond = beyond_control(moved.along[place, rows].tolist(), moved.control_along[place, rows].tolist(), groups)
        key = f"{site} #{index}"
        found[key] = Effect(beyond.size, beyond.low > 0, _BEHAVIOUR)
        if not is_harmless(moved.along[place, off], off_groups, SIDE_EFFECT_SHARE * beyond.size):
            beside.add(f"{name} {key}")
    return found, frozenset(beside)


def _responses(left: ReadSide, right: ReadSide, pairs: Sequence[Pair]) -> dict[Pair, float]:
    if left.confirm is None or right.confirm is None:
        return {}
    one, two = left.patterns("confirm"), right.patterns("confirm")
    close = similarities(one.of([pair.left for pair in pairs]), two.of([pair.right for pair in pairs]))
    return {pair: float(close[i, i]) for i, pair in enumerate(pairs)}


def _rounded(value: float) -> float:
    return round(float(value), 4)
