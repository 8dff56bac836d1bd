# pyright: standard
"""Weights to start from, fitted to the first batch so that codes begin at the size of the data and no latent dead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import TrainingConfig
from interp_lab.dictionaries.parameters import Parameters, normalise_rows
from interp_lab.dictionaries.training.oracle import dense_losses
from interp_lab.dictionaries.training.problem import Problem

_CALIBRATION_ROWS = 1024
_MEDIAN_STEPS = 100
_RIDGE = 1e-3


def first_weights(problem: Problem, training: TrainingConfig) -> Parameters:
    """Return the parameters at step 0, a function of the seed and of the first batch."""
    config, rule = problem.config, problem.rule
    generator = torch.Generator().manual_seed(training.seed)
    encoder = torch.randn(config.n_latents, config.d_in, generator=generator).to(problem.x.device)
    normalise_rows(encoder)
    length = training.initial_decoder_norm if training.decoder_norm == "free" else 1.0
    encoder *= length
    parameters = {name: vector.to(encoder) for name, vector in rule.initial(config.n_latents, training).items()}
    parameters |= {"encoder": encoder, "decoder": encoder.clone(), "b_dec": pre_bias(problem.target, training)}
    if config.kind == "transcoder":
        parameters["decoder"] = length * _through_linear_map(encoder, problem)
    if config.skip:
        parameters["skip"] = torch.zeros(config.d_out, config.d_in, device=encoder.device)
    if not config.apply_b_dec_to_input and training.pre_bias != "zero":
        parameters[rule.bias] = -(encoder @ pre_bias(problem.x, training))
    calibrate = rule.choice != "per_batch" if training.calibrate is None else training.calibrate
    if calibrate:
        _calibrate(problem, parameters)
    return parameters


def pre_bias(target: Tensor, training: TrainingConfig) -> Tensor:
    """Return where b_dec starts.

    Source: Bricken et al. 2023 ("Towards Monosemanticity") for the geometric median.
    """
    if training.pre_bias == "zero":
        return torch.zeros_like(target[0])
    mean = target.mean(0)
    return mean if training.pre_bias == "mean" else geometric_median(target, mean)


def geometric_median(points: Tensor, start: Tensor) -> Tensor:
    """Return the point with the least sum of distances to all points (Weiszfeld's iteration)."""
    found = start
    for _ in range(_MEDIAN_STEPS):
        weights = 1.0 / (points - found).norm(dim=1).clamp(min=1e-8)
        following = (weights @ points) / weights.sum()
        if torch.allclose(following, found, rtol=1e-5, atol=1e-6):
            return following
        found = following
    return found


def _through_linear_map(encoder: Tensor, problem: Problem) -> Tensor:
    """Return each latent's direction carried from input to output by the least-squares map of the first batch."""
    x, target = problem.x - problem.x.mean(0), problem.target - problem.target.mean(0)
    gram = x.T @ x
    gram.diagonal().add_(_RIDGE * gram.diagonal().mean().clamp(min=1e-12))
    decoder = encoder @ torch.linalg.solve(gram, x.T @ target)
    normalise_rows(decoder)
    return decoder


def _calibrate(problem: Problem, parameters: Parameters) -> None:
    """Scale the encoder by the factor that makes the first reconstruction best."""
    rows = slice(0, _CALIBRATION_ROWS)
    few = replace(problem, x=problem.x[rows], target=problem.target[rows], dead=None)
    with torch.no_grad():
        _, codes = dense_losses(few, parameters)
        made = codes @ parameters["decoder"]
        wanted = few.target - parameters["b_dec"]
        size = made.pow(2).sum()
        factor = (made * wanted).sum() / size if float(size) > 0 else torch.ones(())
        if float(factor) > 0:
            parameters["encoder"] *= factor
            parameters[problem.rule.bias] *= factor
