# pyright: standard
"""Induction: a head that copies the previous word, and one that looks the current word up among the copies.

Source: Olsson et al. 2022, In-context learning and induction heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from interp_lab.corpus.dice import Dice
from interp_lab.worlds.circuits.blueprint import Blueprint, Example, Slots, lookup
from interp_lab.worlds.circuits.setting import CONTEXT, FIRST, SCALE, Setting, answers, previous_token, setting


def induction(dice: Dice, n_prompts: int) -> Blueprint:
    """Return two attention layers that predict what followed the current word before."""
    at = setting(dice, n_prompts)
    n = len(at.words)
    slots = Slots(token=n, begin=1, position=CONTEXT, previous=n, answer=n)
    first = previous_token(at, slots, slots.pick("token"), slots.pick("previous"))
    second = lookup(
        1,
        at.heads[1],
        ask=slots.pick("token"),
        match=slots.pick("previous"),
        move=(slots.pick("token"), slots.pick("answer")),
        rest=slots.pick("begin"),
    )
    return Blueprint(
        kind="induction",
        program="Predicts the words that followed earlier occurrences of the current word, in equal shares.",
        vocabulary=at.vocabulary,
        slots=slots,
        embed=at.embed(slots),
        heads=(first, second),
        neurons=(),
        unembed=answers(at, slots),
        expected=partial(_expected, at.n_vocab),
        examples=tuple(_example(at, positive=k % 2 == 0) for k in range(n_prompts)),
        variables={"previous": "resid_post.0", "answer": "resid_post.1"},
        reads={first.name: ("embed", "positions"), second.name: (first.name, "embed"), "logits": (second.name,)},
        roles={first.name: "copies the word before", second.name: "looks the word up among the copies"},
    )


def _expected(n_vocab: int, ids: Sequence[int]) -> Tensor:
    logits = torch.zeros(len(ids), n_vocab)
    for i, current in enumerate(ids):
        after = [ids[j] for j in range(1, i + 1) if ids[j - 1] == current and current >= FIRST]
        for word in after:
            logits[i, word] += SCALE / len(after)
    return logits


def _example(at: Setting, *, positive: bool) -> Example:
    words = at.dice.sample(at.words, at.dice.integer(4, 8))
    last = at.dice.pick(words[:-2] if positive else [word for word in at.words if word not in words])
    return Example((*words, last), float(positive), "repeated" if positive else "new")
