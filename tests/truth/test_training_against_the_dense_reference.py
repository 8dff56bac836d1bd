"""Every architecture in every kind: 50 steps over chosen pairs lose what 50 steps of dense autograd lose."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, DictionaryKind, TrainingConfig
from interp_lab.dictionaries.architectures.base import Moment
from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.sparse.selector import Selector
from interp_lab.dictionaries.training.choosing import choose
from interp_lab.dictionaries.training.oracle import dense_step
from interp_lab.dictionaries.training.problem import Outcome, Problem
from interp_lab.dictionaries.training.sparse_step import sparse_step
from interp_lab.dictionaries.training.trainer import Trainer

D, L, N, STEPS = 16, 64, 96, 50
ARCHITECTURES: tuple[ArchitectureName, ...] = ("relu", "gated", "topk", "batchtopk", "jumprelu", "matryoshka")
KINDS: dict[DictionaryKind, dict[str, Any]] = {
    "sae": {"d_out": D},
    "transcoder": {"d_out": 10, "apply_b_dec_to_input": False, "skip": True},
    "crosscoder": {"d_out": D, "sections": (10, 6)},
}


class DenseTrainer(Trainer):
    """The same trainer, with autograd over all latents."""

    def _solve(self, problem: Problem) -> tuple[Outcome, str]:
        if "threshold" in self.parameters:
            self.parameters["threshold"].clamp_(min=0.0)
        return dense_step(problem, self.parameters), "dense"


def _config(architecture: ArchitectureName, kind: DictionaryKind) -> DictionaryConfig:
    k = None if architecture in {"relu", "gated", "jumprelu"} else 5
    return DictionaryConfig(kind=kind, architecture=architecture, d_in=D, n_latents=L, k=k, **KINDS[kind])


def _batches(count: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(5)
    directions = torch.randn(40, D, generator=draw)
    return [
        (torch.rand(N, 40, generator=draw) * (torch.rand(N, 40, generator=draw) < 0.1)) @ directions + 0.4
        for _ in range(count)
    ]


def _target(x: Tensor, kind: DictionaryKind) -> Tensor | None:
    return x[:, :10].roll(1, 1) + x[:, 6:] if kind == "transcoder" else None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fifty_steps_lose_what_the_dense_reference_loses(architecture: ArchitectureName, kind: DictionaryKind) -> None:
    free = (len(architecture) + len(kind)) % 2 == 0
    training = TrainingConfig(
        total_tokens=STEPS * N, batch_tokens=N, learning_rate=2e-3, select="fp32", tile_rows=40, dense_above=1.0,
        decoder_norm="free" if free else "unit", sparsity_coefficient=0.3, dead_window_tokens=4 * N, aux_k=6,
        sparsity_warmup_steps=5, warmup_steps=5, decay_steps=10, calibrate=True,
    )  # fmt: skip
    fast, dense = Trainer(_config(architecture, kind), training), DenseTrainer(_config(architecture, kind), training)
    revived = 0.0
    for x in _batches(STEPS):
        ours, reference = fast.step(x, _target(x, kind)), dense.step(x, _target(x, kind))
        assert (ours.path, reference.path) == ("sparse", "dense")
        assert ours.loss == pytest.approx(reference.loss, rel=1e-4)
        revived += ours.revival
    assert revived > 0 or architecture not in {"topk", "batchtopk", "matryoshka"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_gradient_equals_autograds_in_double_precision(
    architecture: ArchitectureName, kind: DictionaryKind
) -> None:
    problem, parameters = _random_problem(architecture, kind)
    wide = {name: tensor.double() for name, tensor in parameters.items()}
    expected = dense_step(_replace(problem, problem.x.double(), problem.target.double()), wide)
    pairs = choose(problem, parameters, Selector(torch.float32, 30), level=None, limit=0)
    assert pairs is not None
    found = sparse_step(problem, parameters, pairs, tile_rows=30)
    assert found.gradients.names() == expected.gradients.names() == parameters.keys()
    for name, gradient in expected.gradients.whole.items():
        size = float(gradient.abs().max())
        assert size > 0, name
        torch.testing.assert_close(found.gradients.of(name).double(), gradient, rtol=1e-3, atol=1e-4 * size, msg=name)
    torch.testing.assert_close(torch.stack(list(found.losses)).double(), torch.stack(list(expected.losses)).double(),
                               rtol=1e-5, atol=1e-6)  # fmt: skip
    assert torch.equal(found.fired, expected.fired)


def test_a_gradient_with_one_latent_left_out_does_not_pass_for_autograds() -> None:
    problem, parameters = _random_problem("topk", "sae")
    pairs = choose(problem, parameters, Selector(torch.float32, 30), level=None, limit=0)
    assert pairs is not None
    kept = pairs.latents != pairs.latents.mode().values
    fewer = pairs._replace(rows=pairs.rows[kept], latents=pairs.latents[kept], pre=pairs.pre[kept])
    whole, cut = (
        sparse_step(problem, parameters, each, tile_rows=30).gradients.of("decoder") for each in (pairs, fewer)
    )
    assert float((whole - cut).abs().max()) > 1e-2 * float(whole.abs().max())


def _random_problem(architecture: ArchitectureName, kind: DictionaryKind) -> tuple[Problem, Parameters]:
    """Weights unlike any that training starts from, so that no gradient vanishes by symmetry."""
    config = _config(architecture, kind)
    draw = torch.Generator().manual_seed(11)
    x = _batches(1)[0]
    target = _target(x, kind)
    moment = Moment(N, config.k, 0.2, 0.4, config.widths)
    dead = torch.tensor([3, 17, 40])
    problem = Problem(
        config, x, x if target is None else target, moment, dead=dead, aux_coefficient=0.5, aux_k=2, unit_rows=False
    )
    parameters = {
        "encoder": torch.randn(L, D, generator=draw) * 0.5,
        "decoder": torch.randn(L, config.d_out, generator=draw) * 0.5,
        "b_dec": torch.randn(config.d_out, generator=draw) * 0.1,
    }
    for name in problem.rule.vectors:
        parameters[name] = torch.randn(L, generator=draw) * 0.2
    if "threshold" in parameters:
        parameters["threshold"].abs_().add_(0.05)
    if config.skip:
        parameters["skip"] = torch.randn(config.d_out, D, generator=draw) * 0.1
    return problem, parameters


def _replace(problem: Problem, x: Tensor, target: Tensor) -> Problem:
    return Problem(
        problem.config, x, target, problem.moment, dead=problem.dead, aux_coefficient=problem.aux_coefficient,
        aux_k=problem.aux_k, unit_rows=problem.unit_rows,
    )  # fmt: skip
