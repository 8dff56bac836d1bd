# pyright: standard
"""The loss that revives dead latents, over the columns of dead latents only.

Source: Gao et al. 2024 (arXiv 2406.04093), appendix A.2: the k_aux dead latents with the largest pre-activations
reconstruct what the living ones miss. Few dead, little work; the living columns are never touched.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.training.problem import Problem


def revive(
    problem: Problem, parameters: Parameters, missing: Tensor, *, gradients: Parameters, tile_rows: int
) -> Tensor:
    """Add the revival's gradients to `gradients` and return its loss."""
    dead, weight = problem.dead, problem.aux_weight
    loss = missing.new_zeros(())
    if dead is None or not weight:
        return loss
    bias = problem.rule.bias
    encoder, decoder, biases = (parameters[name][dead] for name in ("encoder", "decoder", bias))
    towards = {"encoder": torch.zeros_like(encoder), "decoder": torch.zeros_like(decoder), bias: biases * 0.0}
    norms = torch.linalg.vector_norm(decoder, dim=1)
    centred, rate = problem.centred(parameters), weight / len(missing)
    for start in range(0, len(missing), tile_rows):
        rows = slice(start, start + tile_rows)
        pre = torch.addmm(biases, centred[rows], encoder.t())
        mask = _largest(pre * norms, problem.aux_k)
        codes = pre.mul_(mask)
        error = torch.addmm(missing[rows], codes, decoder, beta=-1.0)
        loss += rate * torch.vdot(error.flatten(), error.flatten())
        error.mul_(2.0 * rate)
        towards_pre = (error @ decoder.t()).mul_(mask)
        towards["decoder"].addmm_(codes.t(), error)
        towards["encoder"].addmm_(towards_pre.t(), centred[rows])
        towards[bias] += towards_pre.sum(0)
    for name, gradient in towards.items():
        gradients[name].index_add_(0, dead, gradient)
    return loss


def _largest(scores: Tensor, k: int) -> Tensor:
    if k >= scores.shape[1]:
        return torch.ones_like(scores)
    return torch.zeros_like(scores).scatter_(1, scores.topk(k, dim=1, sorted=False).indices, 1.0)
