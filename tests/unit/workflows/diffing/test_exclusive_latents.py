"""Exclusive latents of a crosscoder: each ratio is that of its own arithmetic, and the codes are not copied for it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.workflows.diffing.exclusive import judge_latents

N, D, LATENTS, EXCLUSIVE = 300, 8, 2000, 40
Values = NDArray[np.float32]


def world() -> tuple[Dictionary, Values, Values, Values]:
    """A crosscoder of which the first latents have almost no row for the base, its codes, and both models."""
    rng = np.random.default_rng(0)
    write = rng.normal(size=(LATENTS, 2 * D)).astype(np.float32)
    write[:EXCLUSIVE, :D] *= 0.02
    codes = (np.maximum(0, rng.normal(size=(N, LATENTS)) - 1.5) * 0.1).astype(np.float32)
    both = codes @ write + rng.normal(size=(N, 2 * D)).astype(np.float32) + 0.5
    config = DictionaryConfig(
        kind="crosscoder", architecture="relu", d_in=2 * D, d_out=2 * D, n_latents=LATENTS, sections=(D, D),
        addresses_in=("resid_post.1", "resid_post.1"), apply_b_dec_to_input=False,
    )  # fmt: skip
    weights = torch.from_numpy(write)
    made = Dictionary(
        config, W_enc=weights.T.contiguous(), W_dec=weights, b_dec=torch.full((2 * D,), 0.5), b_enc=torch.zeros(LATENTS)
    )
    return made, codes, both[:, :D].copy(), both[:, D:].copy()


def factors(codes: NDArray[np.float64], latent: int, x: Values, row: NDArray[np.float64]) -> tuple[float, float]:
    """Best factors by definition: of the latent in what the others leave of `x`, and in all that they and it say."""
    direction = np.outer(codes[:, latent], row[latent, -D:])
    rest = codes.copy()
    rest[:, latent] = 0
    mine = row[:, :D]
    whole = (direction**2).sum()
    return float(((x - 0.5 - rest @ mine) * direction).sum() / whole), float(((codes @ mine) * direction).sum() / whole)


def test_the_ratios_of_every_exclusive_latent_are_those_of_the_definition() -> None:
    crosscoder, codes, base, changed = world()
    write, exact = crosscoder.W_dec.double().numpy(), codes.astype(np.float64)
    found = judge_latents(crosscoder, codes, base, changed).latents
    assert {each.index for each in found if each.owner == "changed"} == set(range(EXCLUSIVE))
    for each in found[:EXCLUSIVE]:
        theirs = factors(exact, each.index, base, write)
        own = factors(exact, each.index, changed, np.concatenate([write[:, D:]] * 2, axis=1))
        ratios = [float(np.clip(part / whole, -1, 2)) for part, whole in zip(theirs, own, strict=True)]
        assert [each.error_ratio, each.reconstruction_ratio] == pytest.approx(ratios, abs=2e-4)


def test_judging_many_latents_never_copies_the_codes() -> None:
    crosscoder, codes, base, changed = world()
    tracemalloc.start()
    try:
        judge_latents(crosscoder, codes, base, changed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < codes.nbytes
