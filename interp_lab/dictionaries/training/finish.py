# pyright: standard
"""From weights in training units to a dictionary in the activations' own: unit decoder rows, factors folded in."""

from __future__ import annotations

import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.training.scaling import Scaling

_SMALLEST_NORM = 1e-8


def finished(config: DictionaryConfig, parameters: Parameters, scaling: Scaling, threshold: float | None) -> Dictionary:
    """Return the dictionary that computes on raw activations what training computes on scaled ones.

    `threshold` stands for the competition within a batch, in units of pre-activation times decoder length.
    """
    scaling = Scaling(*(factors.to(parameters["encoder"].device) for factors in scaling))
    # one factor for all coordinates, so that latents compete as they did in training
    back = (1.0 / scaling.target).mean()
    norms = torch.linalg.vector_norm(parameters["decoder"], dim=1).clamp(min=_SMALLEST_NORM) * back
    decoder = parameters["decoder"] / scaling.target
    tensors = {
        "W_enc": ((parameters["encoder"] * norms[:, None]) * scaling.x).t().contiguous(),
        "W_dec": decoder / norms[:, None],
        "b_dec": parameters["b_dec"] / scaling.target,
    }
    tensors |= {
        name: parameters[name] * norms for name in ("b_enc", "b_gate", "b_mag", "threshold") if name in parameters
    }
    if "r_mag" in parameters:
        tensors["r_mag"] = parameters["r_mag"].clone()
    if "skip" in parameters:
        tensors["W_skip"] = parameters["skip"] / scaling.target[:, None] * scaling.x
    if threshold is not None:
        tensors["threshold"] = torch.full_like(norms, threshold) * back
    return Dictionary(config, **{name: tensor.detach() for name, tensor in tensors.items()})
