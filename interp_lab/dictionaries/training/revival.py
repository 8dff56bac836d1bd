# pyright: standard
"""The loss that revives dead latents, over the columns of dead latents only.

Source: Gao et al. 2024 (arXiv 2406.04093), appendix A.2: the k_aux dead latents with the largest pre-activations
reconstruct what the living ones miss. Few dead, little work; the living columns are never touched.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.training.problem import Problem


class Revival(NamedTuple):
    """The loss, and its gradients of the dead latents' weights and biases, in the order of the latents."""

    loss: Tensor
    dead: Tensor
    gradients: Parameters

    def add_to(self, name: str, gradient: Tensor, rows: slice) -> Tensor:
        """Add, in place, to the gradient of these rows of a parameter what the dead among them get."""
        bounds = torch.tensor([rows.start, rows.start + len(gradient)], device=self.dead.device)
        own = slice(*torch.searchsorted(self.dead, bounds).tolist())
        return gradient.index_add_(0, self.dead[own] - rows.start, self.gradients[name][own])


def revive(problem: Problem, parameters: Parameters, missing: Tensor, *, tile_rows: int) -> Revival:
    """Return the revival's loss and gradients; there are dead latents."""
    dead, weight = problem.dead, problem.aux_weight
    assert dead is not None
    loss = missing.new_zeros(())
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
    return Revival(loss, dead, towards)


def _largest(scores: Tensor, k: int) -> Tensor:
    if k >= scores.shape[1]:
        return torch.ones_like(scores)
    return torch.zeros_like(scores).scatter_(1, scores.topk(k, dim=1, sorted=False).indices, 1.0)
