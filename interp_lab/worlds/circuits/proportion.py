# pyright: standard
"""Proportion: the share of words so far that belong to a class.

Source: 'frac-prevs', a compiled task of Conmy et al. 2023, Towards automated circuit discovery.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from interp_lab.corpus.dice import Dice
from interp_lab.worlds.circuits.blueprint import SHARPNESS, Blueprint, Example, Head, Neuron, Slots, one_hot
from interp_lab.worlds.circuits.setting import CONTEXT, SCALE, Setting, setting


def proportion(dice: Dice, n_prompts: int) -> Blueprint:
    """Return the share of words so far that belong to a class."""
    at = setting(dice, n_prompts, "<share>")
    members = at.draw_class(4)
    slots = Slots(token=len(at.words), begin=1, position=CONTEXT, member=1, answer=1)
    member = Neuron(0, slots.pick("token", members).sum(1), 0.0, slots.pick("member")[:, 0], name="MEMBER")
    mean = Head(
        layer=1,
        head=at.heads[1],
        query=torch.zeros(slots.total, 1, dtype=torch.float64),
        key=-SHARPNESS * slots.pick("begin"),
        value=slots.pick("member"),
        output=slots.pick("answer").T,
        always=torch.ones(1, dtype=torch.float64),
    )
    share = at.n_vocab - 1
    return Blueprint(
        kind="proportion",
        program=f"Logit of <share> is {SCALE:g} times the share of words so far among: {at.named(members)}.",
        vocabulary=at.vocabulary,
        slots=slots,
        embed=at.embed(slots),
        heads=(mean,),
        neurons=(member,),
        unembed=SCALE * slots.pick("answer") @ one_hot(at.n_vocab, [share]),
        expected=partial(_expected, at, members),
        examples=tuple(_example(at, members) for _ in range(n_prompts)),
        variables={"member": "resid_post.0", "answer": "resid_post.1"},
        reads={"mlp.0": ("embed",), mean.name: ("embed", "mlp.0"), "logits": (mean.name,)},
        roles={"mlp.0": "decides whether the word is in the class", mean.name: "averages over all words so far"},
    )


def _expected(at: Setting, members: Sequence[int], ids: Sequence[int]) -> Tensor:
    logits = torch.zeros(len(ids), at.n_vocab)
    counted = at.ids(members)
    for i in range(1, len(ids)):
        logits[i, -1] = SCALE * sum(word in counted for word in ids[1 : i + 1]) / i
    return logits


def _example(at: Setting, members: Sequence[int]) -> Example:
    words = at.sentence(3, CONTEXT - 2)
    score = sum(at.words.index(word) in members for word in words) / len(words)
    return Example(words, score, "mostly" if score >= 0.5 else "seldom")
