# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""How activations are brought to a common size for training, and how that is undone in the finished weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig, Normalization

LAYER_NORM_EPSILON = 1e-5


class Scaling(NamedTuple):
    """Factors per coordinate of input and target."""

    x: Float[Tensor, " d_in"]
    target: Float[Tensor, " d_out"]


def no_scaling(config: DictionaryConfig) -> Scaling:
    """Return factors that change nothing."""
    return Scaling(torch.ones(config.d_in), torch.ones(config.d_out))


def fit_scaling(x: Tensor, target: Tensor, config: DictionaryConfig, normalization: Normalization) -> Scaling:
    """Return the factors that give every address's activations a mean norm of √width.

    Source: Anthropic's update of April 2024 ("Training SAEs"); SAELens calls it `expected_average_only_in`.
    """
    if normalization != "expected_average_norm":
        return no_scaling(config)
    widths = config.sections or (config.d_in,)
    return Scaling(_factors(x, widths), _factors(target, config.widths))


def scaled(x: Tensor, factors: Tensor, normalization: Normalization) -> Tensor:
    """Return a batch in training units."""
    x = x.to(torch.float32)
    if normalization == "none":
        return x
    if normalization == "expected_average_norm":
        return x * factors
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.std(-1, keepdim=True) + LAYER_NORM_EPSILON)


def section_norms(
    config: DictionaryConfig, scaling: Scaling, normalization: Normalization
) -> dict[str, tuple[float, ...]]:
    """Return, for a crosscoder, the mean length of the activations of every section: the unit of its decoder rows."""
    if not config.sections or normalization != "expected_average_norm":
        return {}
    parts = scaling.target.split(list(config.sections))
    return {"section_norms": tuple(math.sqrt(len(part)) / float(part[0]) for part in parts)}


def _factors(x: Tensor, widths: Sequence[int]) -> Tensor:
    parts = x.float().split(list(widths), dim=1)
    sizes = [math.sqrt(part.shape[1]) / float(part.norm(dim=1).mean().clamp(min=1e-12)) for part in parts]
    return torch.cat([torch.full((part.shape[1],), size) for part, size in zip(parts, sizes, strict=True)])
