# pyright: standard
"""One step over chosen pairs: losses and gradients without autograd and without a matrix of tokens by latents.

Nested groups are rows of their own: token t of group g is row t · groups + g, so that one sparse product decodes all
groups, and sums over prefixes of groups and their reverse do the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_lab.dictionaries.architectures.base import Chosen, Pull
from interp_lab.dictionaries.parameters import Parameters, norm_gradient
from interp_lab.dictionaries.sparse.products import LatentMajor, dots, gathered_sum, latent_major, segment_sum, starts
from interp_lab.dictionaries.training.choosing import Pairs
from interp_lab.dictionaries.training.gradients import Gradients, RowGradient
from interp_lab.dictionaries.training.problem import Losses, Outcome, Problem
from interp_lab.dictionaries.training.revival import Revival, revive


@dataclass(frozen=True)
class _Batch:
    """The chosen pairs of a batch, by token and by latent."""

    problem: Problem
    parameters: Parameters
    pairs: Pairs
    by_latent: LatentMajor
    """Rows are those of nested groups."""
    centred: Tensor
    wanted: Tensor
    n_groups: int


def sparse_step(problem: Problem, parameters: Parameters, pairs: Pairs, tile_rows: int) -> Outcome:
    """Return losses and gradients of the batch."""
    batch = _batch(problem, parameters, pairs)
    codes = problem.rule.values(Chosen(pairs.latents, pairs.pre), parameters)
    residuals, error, nested = _residuals(batch, codes)
    missing = -residuals[:, -1] if problem.aux_weight else None
    _sum_over_larger_prefixes(residuals)
    rate = 2.0 / len(problem.x)
    flat = residuals.flatten(0, 1)
    by_latent, pre = batch.by_latent, pairs.pre.index_select(0, batch.by_latent.order)
    upstream = rate * dots(parameters["decoder"], flat, by_latent)
    pull = problem.rule.pull(Chosen(by_latent.latents, pre), upstream, parameters, problem.moment)
    gate, pull = _gate(batch, pull, pre)
    revival = None if missing is None else revive(problem, parameters, missing, tile_rows=tile_rows)
    vectors = _vector_gradients(batch, pull, residuals[:, 0], revival)
    gradients = Gradients(vectors, _matrix_gradients(batch, codes, pull, flat=flat, revival=revival))
    losses = Losses(error, nested, pull.penalty, gate, error.new_zeros(()) if revival is None else revival.loss)
    fired = _fired(by_latent, codes)
    return Outcome(gradients, losses, fired, pairs.least_active, problem.variance(parameters, batch.wanted))


def _batch(problem: Problem, parameters: Parameters, pairs: Pairs) -> _Batch:
    sizes = problem.rule.group_sizes(problem.config)
    rows = pairs.rows
    if len(sizes) > 1:
        ends = torch.tensor(sizes, device=rows.device).cumsum(0)
        rows = rows * len(sizes) + torch.bucketize(pairs.latents, ends, right=True, out_int32=True)
    by_latent = latent_major(rows, pairs.latents, problem.config.n_latents)
    centred = problem.centred(parameters)
    wanted = problem.wanted(parameters, centred)
    return _Batch(problem, parameters, pairs._replace(rows=rows), by_latent, centred, wanted, len(sizes))


def _residuals(batch: _Batch, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return reconstruction less target of every prefix of groups `(batch, groups, d_out)`, and the squared errors."""
    n_tokens, n_groups = len(batch.wanted), batch.n_groups
    offsets = starts(batch.pairs.rows, n_tokens * n_groups)
    decoded = gathered_sum(batch.parameters["decoder"], batch.pairs.latents, offsets, codes)
    residuals = decoded.view(n_tokens, n_groups, -1)
    for group in range(1, n_groups):
        residuals[:, group] += residuals[:, group - 1]
    residuals -= batch.wanted[:, None]
    errors = torch.stack([_squared(residuals[:, group]) for group in range(n_groups)]) / n_tokens
    return residuals, errors[-1], errors[:-1].sum()


def _sum_over_larger_prefixes(residuals: Tensor) -> None:
    """Turn residuals into gradients towards what each group adds: a group is part of every larger prefix."""
    for group in range(residuals.shape[1] - 2, -1, -1):
        residuals[:, group] += residuals[:, group + 1]


def _gate(batch: _Batch, pull: Pull, pre: Tensor) -> tuple[Tensor, Pull]:
    """Return the error of reconstructing from gates, and the pull with its gradients added."""
    gates = batch.problem.rule.gate_codes(batch.pairs.pre)
    if gates is None:
        return pre.new_zeros(()), pull
    n_tokens = len(batch.wanted)
    offsets = starts(batch.pairs.rows, n_tokens)
    residual = gathered_sum(batch.parameters["decoder"], batch.pairs.latents, offsets, gates).sub_(batch.wanted)
    towards = (2.0 / n_tokens) * dots(batch.parameters["decoder"], residual, batch.by_latent) * (pre > 0)
    bias = batch.problem.rule.bias
    extras = {**pull.extras, bias: pull.extras[bias] + towards}
    return _squared(residual) / n_tokens, Pull(pull.pre + towards, pull.penalty, extras, pull.norm_weight)


def _matrix_gradients(
    batch: _Batch, codes: Tensor, pull: Pull, *, flat: Tensor, revival: Revival | None
) -> dict[str, RowGradient]:
    """Return how any rows of decoder and encoder get their gradients: sums over the tokens of their latents."""
    by_latent, decoder = batch.by_latent, batch.parameters["decoder"]
    weights = codes.index_select(0, by_latent.order) * (2.0 / len(batch.wanted))
    tokens = by_latent.rows if batch.n_groups == 1 else by_latent.rows // batch.n_groups
    lengths = None if pull.norm_weight is None else segment_sum(pull.norm_weight, by_latent.offsets)

    def of_decoder(rows: slice) -> Tensor:
        pairs, offsets = by_latent.run(rows)
        gradient = gathered_sum(flat, by_latent.rows[pairs], offsets, weights[pairs])
        if lengths is not None:
            gradient += lengths[rows, None] * norm_gradient(decoder[rows], batch.problem.moment.widths)
        return gradient if revival is None else revival.add_to("decoder", gradient, rows)

    def of_encoder(rows: slice) -> Tensor:
        pairs, offsets = by_latent.run(rows)
        gradient = gathered_sum(batch.centred, tokens[pairs], offsets, pull.pre[pairs])
        return gradient if revival is None else revival.add_to("encoder", gradient, rows)

    return {"decoder": of_decoder, "encoder": of_encoder}


def _vector_gradients(batch: _Batch, pull: Pull, towards_output: Tensor, revival: Revival | None) -> Parameters:
    """Return the gradients of all biases, of b_dec, which also shifts what the encoder reads, and of the skip."""
    rate, problem = 2.0 / len(batch.wanted), batch.problem
    gradients = {name: segment_sum(each, batch.by_latent.offsets) for name, each in pull.extras.items()}
    if revival is not None:
        revival.add_to(problem.rule.bias, gradients[problem.rule.bias], slice(0, None))
    gradients["b_dec"] = rate * towards_output.sum(0)
    if "skip" in batch.parameters:
        gradients["skip"] = rate * (towards_output.t() @ problem.x)
    if problem.config.apply_b_dec_to_input:
        gradients["b_dec"] -= _summed_pull(batch, gradients) @ batch.parameters["encoder"]
    return gradients


def _summed_pull(batch: _Batch, gradients: Parameters) -> Tensor:
    """Return each latent's pull on its pre-activation, summed over tokens: its bias's, unless magnitudes pull too."""
    rule = batch.problem.rule
    summed = gradients[rule.bias]
    if "r_mag" in rule.vectors:
        summed = summed + gradients["b_mag"] * batch.parameters["r_mag"].exp()
    return summed


def _fired(by_latent: LatentMajor, codes: Tensor) -> Tensor:
    return segment_sum((codes.index_select(0, by_latent.order) > 0).float(), by_latent.offsets)


def _squared(matrix: Tensor) -> Tensor:
    flat = matrix.flatten()
    return torch.vdot(flat, flat)
