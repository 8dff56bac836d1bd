"""One challenge: questions in an order that nothing foretells, and the key that stays behind."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.explain import BlindKind, BlindScore, Label
from interp_lab.errors import InvalidRequest, TooFewGroups
from interp_lab.methods.blind_score import METHOD, agreement, f1
from interp_lab.workflows.explaining.halves import Explained
from interp_lab.workflows.explaining.items import (
    Draw,
    Item,
    detection_items,
    fuzzing_items,
    intruder_items,
    shares,
)
from interp_lab.workflows.features.rounding import rounded

CHANCE: dict[BlindKind, float] = {"detection": 0.5, "fuzzing": 0.5, "intruder": 0.25}
Key = dict[str, list[tuple[int, int, bool]]]
"""Kind of test → answer, group and hardness of each item."""


@dataclass(frozen=True)
class Questions:
    """What is shown, what is kept, and which prompts are used up."""

    shown: dict[BlindKind, tuple[tuple[str, ...], ...]]
    key: Key
    prompts: list[int]


def draw_questions(explained: Explained, n_items: int, used: Sequence[int], *, entropy: int | None = None) -> Questions:
    """Return the questions; they depend on fresh entropy, so that nothing in a request could bring them back.

    Raises:
        TooFewContexts: Too few held-out prompts are left.
    """
    rng = np.random.default_rng(secrets.randbits(128) if entropy is None else entropy)
    draw = Draw(explained, rng, set(used))
    each, fuzz, sets = shares(len(draw.firing), n_items, explained.subject.feature)
    # Sets first: they need the most prompts, and what is over goes to the others.
    drawn: dict[BlindKind, list[Item]] = {
        "intruder": intruder_items(draw, sets),
        "fuzzing": fuzzing_items(draw, fuzz),
        "detection": detection_items(draw, each),
    }
    mixed: dict[BlindKind, list[Item]] = {
        kind: [items[int(i)] for i in rng.permutation(len(items))] for kind, items in drawn.items()
    }
    shown: dict[BlindKind, tuple[tuple[str, ...], ...]] = {
        kind: tuple(item.texts for item in items) for kind, items in mixed.items()
    }
    return Questions(
        shown=shown,
        key={kind: [(item.answer, item.group, item.hard) for item in items] for kind, items in mixed.items()},
        prompts=sorted(draw.used),
    )


def check_answers(label: Label, key: Key) -> None:
    """Refuse labels that are not one for every item; the challenge is not spent by it.

    Raises:
        InvalidRequest: A kind has another number of labels.
    """
    for kind in CHANCE:
        wanted, given = len(key[kind]), len(getattr(label, kind))
        if wanted != given:
            raise InvalidRequest(
                f"{kind} has {wanted} items and {given} labels.", remedy="Give one label for every item, in order."
            )


def score_answers(label: Label, key: Key) -> tuple[BlindScore, ...]:
    """Return the scores of every kind of test that has items of both answers in two groups."""
    found = (_score(kind, list(getattr(label, kind)), key[kind]) for kind in CHANCE)
    return tuple(score for score in found if score is not None)


def _score(kind: BlindKind, given: list[int], key: list[tuple[int, int, bool]]) -> BlindScore | None:
    truth = np.array([answer for answer, _, _ in key], dtype=np.intp)
    said = np.array([int(each) for each in given], dtype=np.intp)
    classes = np.zeros(truth.size, dtype=np.intp) if kind == "intruder" else truth
    if kind != "intruder" and np.unique(truth).size < 2:
        return None
    try:
        found = agreement(said == truth, classes, [group for _, group, _ in key], chance=CHANCE[kind])
    except TooFewGroups:
        return None
    hard = np.array([each for _, _, each in key], dtype=np.bool_)
    low, high = rounded(found.low), rounded(found.high)
    return BlindScore(
        kind=kind,
        n=found.n,
        n_groups=found.n_groups,
        accuracy=rounded(found.accuracy),
        interval=Interval(low=low, high=high, method=METHOD),
        f1=None if kind == "intruder" else rounded(f1(said, truth)),
        hard=rounded(float((said == truth)[hard].mean())) if hard.any() else None,
        chance=CHANCE[kind],
        detectable=rounded(found.detectable),
        above_chance=found.low > CHANCE[kind],
    )
