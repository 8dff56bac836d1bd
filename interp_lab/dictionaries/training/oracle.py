# pyright: standard
"""The dense reference of every loss, by autograd: the truth that the sparse path is tested against.

It is also the faster path while very many latents are active (relu, gated, jumprelu); their losses are means over
tokens, so it goes tile by tile and no matrix of all tokens by all latents exists then either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.training.gradients import Gradients
from interp_lab.dictionaries.training.problem import Losses, Outcome, Problem


def dense_losses(problem: Problem, parameters: Parameters) -> tuple[Losses, Tensor]:
    """Return the parts of the loss, differentiable, and the codes."""
    rule, moment = problem.rule, problem.moment
    centred = problem.centred(parameters)
    pre = centred @ parameters["encoder"].T + parameters[rule.bias]
    codes = rule.codes(pre, parameters, moment)
    base = parameters["b_dec"] + (problem.x @ parameters["skip"].T if "skip" in parameters else 0.0)
    prefixes = list(_prefixes(codes, parameters["decoder"], rule.group_sizes(problem.config)))
    errors = [_error(base + prefix, problem.target) for prefix in prefixes]
    gate = _gate_error(problem, parameters, pre)
    revival = _revival(problem, parameters, pre, (problem.target - base - prefixes[-1]).detach())
    nothing = pre.new_zeros(())
    penalty = rule.penalty(pre, codes, parameters, moment)
    return Losses(errors[-1], sum(errors[:-1], nothing), penalty, gate, revival), codes


def dense_step(problem: Problem, parameters: Parameters, tile_rows: int | None = None) -> Outcome:
    """Return losses and gradients; in tiles of tokens where the loss is a mean over tokens."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
    n_tokens = len(problem.x)
    fired = torch.zeros(len(parameters["encoder"]), device=problem.x.device)
    parts: list[Losses] = []
    for tile in _tiles(problem, tile_rows or n_tokens):
        share = len(tile.x) / n_tokens
        with torch.enable_grad():
            losses, codes = dense_losses(tile, leaves)
            (losses.total * share).backward()
        fired += (codes.detach() > 0).sum(0)
        parts.append(Losses(*(part.detach() * share for part in losses)))
    gradients = {name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()}
    total = Losses(*(torch.stack(column).sum() for column in zip(*parts, strict=True)))
    return Outcome(Gradients(gradients), total, fired, variance=problem.variance(parameters))


def _tiles(problem: Problem, tile_rows: int) -> Iterator[Problem]:
    for start in range(0, len(problem.x), tile_rows):
        rows = slice(start, start + tile_rows)
        x, target = problem.x[rows], problem.target[rows]
        yield replace(problem, x=x, target=target, moment=replace(problem.moment, n_tokens=len(x)))


def _prefixes(codes: Tensor, decoder: Tensor, sizes: tuple[int, ...]) -> Iterator[Tensor]:
    total: Tensor | None = None
    for part, rows in zip(codes.split(list(sizes), dim=1), decoder.split(list(sizes)), strict=True):
        total = part @ rows if total is None else total + part @ rows
        yield total


def _error(reconstruction: Tensor, target: Tensor) -> Tensor:
    return (reconstruction - target).pow(2).sum(-1).mean()


def _gate_error(problem: Problem, parameters: Parameters, pre: Tensor) -> Tensor:
    gates = problem.rule.gate_codes(pre)
    if gates is None:
        return pre.new_zeros(())
    frozen = parameters["b_dec"] + (problem.x @ parameters["skip"].T if "skip" in parameters else 0.0)
    return _error(gates @ parameters["decoder"].detach() + frozen.detach(), problem.target)


def _revival(problem: Problem, parameters: Parameters, pre: Tensor, missing: Tensor) -> Tensor:
    """Return the error of the dead latents' best attempt at what is missing (Gao et al. 2024, appendix A.2)."""
    if problem.dead is None or not problem.aux_weight:
        return pre.new_zeros(())
    pre, decoder = pre[:, problem.dead], parameters["decoder"][problem.dead]
    places = (pre * decoder.detach().norm(dim=1)).topk(min(problem.aux_k, pre.shape[1]), sorted=False).indices
    codes = torch.zeros_like(pre).scatter(-1, places, pre.gather(-1, places))
    return problem.aux_weight * (codes @ decoder - missing).pow(2).sum(-1).mean()
