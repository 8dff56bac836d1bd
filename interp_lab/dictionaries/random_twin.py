# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The negative twin of a dictionary: as wide and as sparse, with directions that were drawn, not learned."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.parameters import normalise_rows


def random_twin(sample: Float[Tensor, "token width"], *, n_latents: int, l0: float, seed: int) -> Dictionary:
    """Return a topk dictionary with random unit directions, tied encoder and decoder, and about `l0` active latents.

    Its bias is the mean of the sample, and all codes share the one factor that reconstructs the sample best: it has
    everything that can be had without knowing a direction.
    """
    width = sample.shape[1]
    drawn = torch.randn(n_latents, width, generator=torch.Generator().manual_seed(seed)).to(sample)
    normalise_rows(drawn)
    config = DictionaryConfig(d_in=width, d_out=width, n_latents=n_latents, k=max(1, min(round(l0), n_latents)))
    mean = sample.mean(0)
    plain = Dictionary(config, drawn.T.contiguous(), drawn, mean, b_enc=sample.new_zeros(n_latents))
    made = plain.reconstruct(sample) - mean
    squares = float(made.pow(2).sum())
    factor = float((made * (sample - mean)).sum()) / squares if squares > 0 else 0.0
    return Dictionary(config, plain.W_enc, drawn * factor, mean, b_enc=plain.b_enc)
