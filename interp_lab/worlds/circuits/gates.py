# pyright: standard
"""Gates: AND, OR and XOR of a hidden property of two words, each unit with a function that has a name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from interp_lab.corpus.dice import Dice
from interp_lab.worlds.circuits.blueprint import Blueprint, Example, Matrix, Neuron, Slots, one_hot
from interp_lab.worlds.circuits.setting import CONTEXT, SCALE, Setting, previous_token, setting

_ANSWERS = ("<and>", "<or>", "<xor>")


def gates(dice: Dice, n_prompts: int) -> Blueprint:
    """Return AND, OR and XOR of a hidden property of the last two words."""
    at = setting(dice, n_prompts, *_ANSWERS)
    members = at.draw_class(len(at.words) // 2)
    slots = Slots(token=len(at.words), begin=1, position=CONTEXT, before=1, both=1, one=1)
    bit = slots.pick("token", members).sum(1)
    back = previous_token(at, slots, bit[:, None], slots.pick("before"))
    holds = f"{SCALE:g} where that holds of whether each of the last two words is among: {at.named(members)}."
    return Blueprint(
        kind="gates",
        program=f"Logits of {', '.join(_ANSWERS)} are {holds}",
        vocabulary=at.vocabulary,
        slots=slots,
        embed=at.embed(slots),
        heads=(back,),
        neurons=_units(slots, bit),
        unembed=_unembed(at, slots),
        expected=partial(_expected, at, members),
        examples=tuple(_example(at, members) for _ in range(n_prompts)),
        variables={"before": "resid_mid.0", "both": "resid_post.0", "one": "resid_post.0"},
        reads={back.name: ("embed", "positions"), "mlp.0": ("embed", back.name), "logits": ("mlp.0",)},
        roles={back.name: "copies the property of the word before", "mlp.0": "computes AND and XOR"},
    )


def _units(slots: Slots, bit: Tensor) -> tuple[Neuron, ...]:
    before, both, one = (slots.pick(name)[:, 0] for name in ("before", "both", "one"))
    return (
        Neuron(0, bit + before, -1.0, both, name="AND"),
        Neuron(0, bit - before, 0.0, one, name="NOW_NOT_BEFORE"),
        Neuron(0, before - bit, 0.0, one, name="BEFORE_NOT_NOW"),
    )


def _unembed(at: Setting, slots: Slots) -> Matrix:
    """AND is `both`, XOR is `one`, OR is either."""
    first = at.n_vocab - len(_ANSWERS)
    conjunction, disjunction, exclusive = one_hot(at.n_vocab, range(first, at.n_vocab)).split(1)
    return SCALE * (slots.pick("both") @ (conjunction + disjunction) + slots.pick("one") @ (disjunction + exclusive))


def _expected(at: Setting, members: Sequence[int], ids: Sequence[int]) -> Tensor:
    logits = torch.zeros(len(ids), at.n_vocab)
    bits = [word in at.ids(members) for word in ids]
    for i, now in enumerate(bits):
        then = bits[i - 1] if i else False
        logits[i, -len(_ANSWERS) :] = SCALE * torch.tensor([now and then, now or then, now != then]).float()
    return logits


def _example(at: Setting, members: Sequence[int]) -> Example:
    words = at.sentence(2, 6)
    then, now = (at.words.index(word) in members for word in words[-2:])
    return Example(words, float(now != then), f"{int(then)}{int(now)}")
