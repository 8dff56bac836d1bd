# pyright: standard
"""Reverse: the words before a separator are predicted one by one, last first.

Source: a compiled task of Conmy et al. 2023, here causal: one AND per pair of positions computes where to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from interp_lab.corpus.dice import Dice
from interp_lab.worlds.circuits.blueprint import Blueprint, Example, Head, Neuron, Slots, lookup
from interp_lab.worlds.circuits.setting import CONTEXT, SCALE, Setting, answers, setting

_TURN = "<turn>"


def reverse(dice: Dice, n_prompts: int) -> Blueprint:
    """Return the words before a separator, last first, one at every position after it."""
    at = setting(dice, n_prompts, _TURN)
    n = len(at.words)
    slots = Slots(token=n, begin=1, turn=1, position=CONTEXT, turned=CONTEXT, wanted=CONTEXT, answer=n)
    embed = at.embed(slots)
    embed[-1] = slots.pick("turn")[:, 0]
    find, fetch = _find(at, slots), _fetch(at, slots)
    return Blueprint(
        kind="reverse",
        program=f"After {_TURN} the words before it are predicted in reverse order.",
        vocabulary=at.vocabulary,
        slots=slots,
        embed=embed,
        heads=(find, fetch),
        neurons=tuple(_subtractions(slots)),
        unembed=answers(at, slots),
        expected=partial(_expected, at.n_vocab),
        examples=tuple(_example(at, positive=k % 2 == 0) for k in range(n_prompts)),
        variables={"turned": "resid_mid.0", "wanted": "resid_post.0", "answer": "resid_post.1"},
        reads={
            find.name: ("embed", "positions"),
            "mlp.0": ("positions", find.name),
            fetch.name: ("embed", "positions", "mlp.0"),
            "logits": (fetch.name,),
        },
        roles={find.name: "finds the separator", "mlp.0": "computes where to read", fetch.name: "fetches the word"},
    )


def _find(at: Setting, slots: Slots) -> Head:
    """A head that always looks for the separator, and moves its position."""
    nothing = torch.zeros(slots.total, 0, dtype=torch.float64)
    move = (slots.pick("position"), slots.pick("turned"))
    return lookup(0, at.heads[0], ask=nothing, match=nothing, move=move, rest=2.0 * slots.pick("turn"))


def _fetch(at: Setting, slots: Slots) -> Head:
    """A head that moves the word from the wanted position."""
    move = (slots.pick("token"), slots.pick("answer"))
    ask, match = slots.pick("wanted"), slots.pick("position")
    return lookup(1, at.heads[1], ask=ask, match=match, move=move, rest=slots.pick("begin"))


def _subtractions(slots: Slots) -> Iterator[Neuron]:
    """One AND for every place of the separator and every place after it."""
    for turn in range(2, CONTEXT):
        for here in range(turn, min(2 * turn - 1, CONTEXT)):
            both = slots.pick("turned", [turn]) + slots.pick("position", [here])
            yield Neuron(0, 2.0 * both[:, 0], -3.0, slots.pick("wanted", [2 * turn - 1 - here])[:, 0])


def _expected(n_vocab: int, ids: Sequence[int]) -> Tensor:
    logits = torch.zeros(len(ids), n_vocab)
    turn = ids.index(n_vocab - 1) if n_vocab - 1 in ids else len(ids)
    for here in range(turn, min(2 * turn - 1, len(ids))):
        logits[here, ids[2 * turn - 1 - here]] = SCALE
    return logits


def _example(at: Setting, *, positive: bool) -> Example:
    words = at.sentence(3, 6)
    tail = (_TURN, *reversed(words))[: at.dice.integer(1, len(words))] if positive else at.sentence(1, 4)
    return Example((*words, *tail), float(positive), "turned" if positive else "straight")
