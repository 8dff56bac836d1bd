# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The trainer: batches in, one dictionary out. Where batches come from, checkpoint files and jobs are elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig, needs_k
from interp_lab.dictionaries.architectures import ARCHITECTURES
from interp_lab.dictionaries.architectures.base import Moment
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.parameters import Parameters, normalise_rows
from interp_lab.dictionaries.sparse.selector import Selector
from interp_lab.dictionaries.training.choosing import choose
from interp_lab.dictionaries.training.finish import finished
from interp_lab.dictionaries.training.gradients import Gradients
from interp_lab.dictionaries.training.metrics import Block, Evaluation, StepMetrics, evaluate
from interp_lab.dictionaries.training.optimisers import OPTIMISERS, Optimiser
from interp_lab.dictionaries.training.oracle import dense_step
from interp_lab.dictionaries.training.problem import Outcome, Problem
from interp_lab.dictionaries.training.scaling import Scaling, fit_scaling, no_scaling, scaled, section_norms
from interp_lab.dictionaries.training.schedule import learning_rate, sparsity
from interp_lab.dictionaries.training.sparse_step import sparse_step
from interp_lab.dictionaries.training.start import first_weights
from interp_lab.dictionaries.training.state import Progress
from interp_lab.engine.precision import matmul_precision
from interp_lab.errors import InvalidDictionary, TrainingDiverged

_NATIVE = {
    torch.int8: ("avx512_vnni", "amx_int8"),
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "bf16"),
}
_SMALL = 1 << 18
"""Weights of an encoder below which integers save no time."""
_SELECT = {"int8": torch.int8, "bf16": torch.bfloat16, "fp32": torch.float32}

Exchange = Callable[[Sequence[Tensor]], None]
"""Replaces tensors by their means over all processes that train together."""


class Trainer:
    """One dictionary in training.

    Weights begin with the first batch, to whose size they are fitted; `adopt` begins from given ones instead.
    `exchange` makes several processes train one dictionary, each on its own batches.
    """

    def __init__(
        self,
        config: DictionaryConfig,
        training: TrainingConfig,
        *,
        device: str | torch.device = "cpu",
        exchange: Exchange | None = None,
    ) -> None:
        if needs_k(config):
            raise InvalidDictionary(f"A {config.architecture} dictionary is trained with a k.")
        self.config = config
        self.training = training
        self.device = torch.device(device)
        self.parameters: Parameters = {}
        self.scaling = no_scaling(config)
        self.progress = Progress.fresh(config.n_latents, self.device)
        self._exchange = exchange
        self._selector = Selector(select_type(config, training, self.device), training.tile_rows)
        self._optimiser: Optimiser | None = None

    @property
    def started(self) -> bool:
        """Whether there are weights."""
        return bool(self.parameters)

    def adopt(self, parameters: Parameters, scaling: Scaling | None = None) -> None:
        """Begin from these weights, in training units, instead of fitting some to the first batch."""
        self.parameters = {name: tensor.to(self.device, copy=True) for name, tensor in sorted(parameters.items())}
        self.scaling = Scaling(*(factors.to(self.device) for factors in scaling or no_scaling(self.config)))
        self._optimiser = OPTIMISERS[self.training.optimiser](self.parameters, self.training)

    @torch.no_grad()
    def start(self, x: Float[Tensor, "batch d_in"], target: Float[Tensor, "batch d_out"] | None = None) -> None:
        """Fit scaling and first weights to a batch, as the first step does unasked.

        Processes that train one dictionary together start one of them and load its state into the others.
        """
        x, target = x.to(self.device), None if target is None else target.to(self.device)
        factors = fit_scaling(x, x if target is None else target, self.config, self.training.normalize)
        self.scaling = Scaling(*(each.to(self.device) for each in factors))
        self.adopt(first_weights(self._scaled(x, target), self.training), self.scaling)

    @torch.no_grad()
    def step(self, x: Float[Tensor, "batch d_in"], target: Float[Tensor, "batch d_out"] | None = None) -> StepMetrics:
        """Train on one batch and return its figures.

        Raises:
            TrainingDiverged: The batch, the loss or a gradient is not finite; weights are as before the step.
        """
        with matmul_precision():
            problem = self._problem(x.to(self.device), None if target is None else target.to(self.device))
            outcome, path = self._solve(problem)
            return self._move(problem, outcome, path)

    def dictionary(self) -> Dictionary:
        """Return the dictionary as it is now, for raw activations.

        Raises:
            InvalidDictionary: No batch was seen yet.
        """
        if not self.started:
            raise InvalidDictionary("The dictionary has no weights before its first batch.")
        kept = "layer_norm" if self.training.normalize == "layer_norm" else "none"
        facts = {"normalize": kept, "scale": 1.0, "trained_tokens": self.progress.tokens, "seed": self.training.seed}
        facts |= section_norms(self.config, self.scaling, self.training.normalize)
        per_batch = ARCHITECTURES[self.config.architecture].choice == "per_batch"
        threshold = self.progress.threshold if per_batch else None
        return finished(self.config.model_copy(update=facts), self.parameters, self.scaling, threshold)

    def evaluate(self, blocks: Iterable[Block]) -> Evaluation:
        """Return how the dictionary as it is now does on held-out activations."""
        with matmul_precision():
            return evaluate(self.dictionary(), blocks)

    def state_dict(self, *, copy: bool = True) -> dict[str, Tensor]:
        """Return all that a later trainer of the same configuration needs to go on bit for bit.

        Without `copy` the tensors are those that the next step changes: enough to write them down at once.
        """
        found = {f"weights.{name}": tensor for name, tensor in self.parameters.items()}
        found |= {f"scaling.{name}": factors for name, factors in self.scaling._asdict().items()}
        found |= {f"progress.{name}": tensor for name, tensor in self.progress.tensors().items()}
        for name, moments in (self._optimiser.state if self._optimiser else {}).items():
            found |= {f"optimiser.{name}.{key}": tensor for key, tensor in moments.items()}
        return {name: tensor.detach().clone() if copy else tensor.detach() for name, tensor in found.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where the trainer that gave `state` was."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "scaling": {}, "progress": {}, "optimiser": {}}
        for name, tensor in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.progress = Progress.from_tensors(parts["progress"], self.device)
        if not parts["weights"]:
            return
        self.adopt(parts["weights"], Scaling(**parts["scaling"]))
        for name, tensor in parts["optimiser"].items():
            owner, _, key = name.rpartition(".")
            assert self._optimiser is not None
            self._optimiser.state[owner][key] = tensor.to(self.device, copy=True)

    def _problem(self, x: Tensor, target: Tensor | None) -> Problem:
        if not self.started:
            self.start(x, target)
        return self._with_dead(self._scaled(x, target))

    def _scaled(self, x: Tensor, target: Tensor | None) -> Problem:
        normalize = self.training.normalize
        own = scaled(x, self.scaling.x, normalize)
        other = own if target is None else scaled(target, self.scaling.target, normalize)
        self._check_finite(own, other)
        return Problem(self.config, own, other, self._moment(len(own)))

    def _moment(self, n_tokens: int) -> Moment:
        weight = sparsity(self.training, self.progress.step)
        return Moment(n_tokens, self.config.k, weight, self.training.bandwidth, self.config.widths)

    def _with_dead(self, problem: Problem) -> Problem:
        unit = self.training.decoder_norm == "unit"
        dead, coefficient = None, self.training.aux_coefficient
        if coefficient:
            dead = (self.progress.silent > self.training.dead_window_tokens).nonzero().flatten()
        aux_k = self.training.aux_k or max(self.config.d_out // 2, 1)
        some = dead if dead is not None and len(dead) else None
        return replace(problem, dead=some, aux_coefficient=coefficient, aux_k=aux_k, unit_rows=unit)

    def _solve(self, problem: Problem) -> tuple[Outcome, str]:
        """Return losses and gradients by the path that is faster at the density of the last step."""
        if "threshold" in self.parameters:
            self.parameters["threshold"].clamp_(min=0.0)
        limit = 0
        if problem.rule.choice == "above":
            limit = max(int(self.training.dense_above * len(problem.x) * self.config.n_latents), 1)
            if self.progress.density > self.training.dense_above:
                return dense_step(problem, self.parameters, self.training.tile_rows), "dense"
        level = self.progress.least_active
        pairs = choose(problem, self.parameters, self._selector, level=level, limit=limit)
        if pairs is None:
            return dense_step(problem, self.parameters, self.training.tile_rows), "dense"
        return sparse_step(problem, self.parameters, pairs, self.training.tile_rows), "sparse"

    def _move(self, problem: Problem, outcome: Outcome, path: str) -> StepMetrics:
        gradients = outcome.gradients
        if self._exchange is not None:
            gradients = gradients.at_hand()
            self._exchange([*(gradients.of(name) for name in self.parameters), outcome.fired])
        unit = self.training.decoder_norm == "unit"
        if unit:
            gradients = gradients.tangent(self.parameters["decoder"])
        gradients, norm = gradients.measured(self.parameters)
        self._check_losses(float(outcome.losses.total), norm)
        rate = self._update(norm, gradients)
        if unit:
            normalise_rows(self.parameters["decoder"])
        self.progress.advance(problem, outcome, self.training.threshold_rate)
        return self._metrics(outcome, (norm, rate), path)

    def _update(self, norm: float, gradients: Gradients) -> float:
        assert self._optimiser is not None
        clip = self.training.clip_norm
        factor = clip / (norm + 1e-6) if clip is not None and norm > clip else 1.0
        rate = learning_rate(self.training, self.progress.step)
        self._optimiser.move(gradients, rate=rate, factor=factor)
        return rate

    def _metrics(self, outcome: Outcome, sizes: tuple[float, float], path: str) -> StepMetrics:
        losses, progress = outcome.losses, self.progress
        variance = float(outcome.variance)
        dead = float((progress.silent > self.training.dead_window_tokens).float().mean())
        return StepMetrics(
            step=progress.step,
            tokens=progress.tokens,
            loss=float(losses.total),
            error=float(losses.error),
            penalty=float(losses.penalty),
            revival=float(losses.revival),
            fvu=float(losses.error) / variance if variance > 0 else math.nan,
            l0=progress.density * self.config.n_latents,
            dead_fraction=dead,
            learning_rate=sizes[1],
            gradient_norm=sizes[0],
            path=path,
        )

    def _check_finite(self, *batches: Tensor) -> None:
        for batch in batches:
            if not math.isfinite(float(batch.sum())) and (rows := int((~batch.isfinite().all(1)).sum())):
                raise TrainingDiverged(f"Step {self.progress.step + 1}: {rows} tokens have activations not finite.")

    def _check_losses(self, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "the loss" if not math.isfinite(loss) else "a gradient"
            raise TrainingDiverged(f"Step {self.progress.step + 1}: {what} is not finite (loss {loss}, norm {norm}).")


def select_type(config: DictionaryConfig, training: TrainingConfig, device: torch.device) -> torch.dtype:
    """Return the precision that candidates are chosen in: the lowest that the device multiplies natively."""
    if device.type != "cpu":
        return torch.float32 if training.select == "fp32" else torch.bfloat16
    if training.select != "auto":
        return _SELECT[training.select]
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    native = [dtype for dtype, names in _NATIVE.items() if any(capabilities.get(name) for name in names)]
    if config.n_latents * config.d_in < _SMALL and torch.int8 in native:
        native.remove(torch.int8)
    return [*native, torch.float32][0]
