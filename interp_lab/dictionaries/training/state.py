# pyright: standard
"""What a trainer remembers besides weights and moments: how far it is, who has been silent, how dense codes are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_lab.dictionaries.training.problem import Outcome, Problem


@dataclass
class Progress:
    """Counts and running figures."""

    step: int
    tokens: int
    silent: Tensor
    """Tokens since each latent last fired, `(n_latents,)`."""
    density: float
    """Share of latents active in the last step."""
    least_active: float | None
    """Smallest score that fired in the last step, of architectures that compete within a batch."""
    threshold_sum: float
    """Running mean of that score, not yet divided by `threshold_weight`."""
    threshold_weight: float

    @classmethod
    def fresh(cls, n_latents: int, device: torch.device) -> Progress:
        """Return the state before the first step."""
        return cls(0, 0, torch.zeros(n_latents, dtype=torch.int64, device=device), 0.0, None, 0.0, 0.0)

    @property
    def threshold(self) -> float:
        """The running mean of the least active score, free of its start at nothing."""
        return self.threshold_sum / self.threshold_weight if self.threshold_weight else 0.0

    def advance(self, problem: Problem, outcome: Outcome, threshold_rate: float) -> None:
        """Take in one finished step."""
        n_tokens = len(problem.x)
        self.step += 1
        self.tokens += n_tokens
        self.silent += n_tokens
        self.silent[outcome.fired > 0] = 0
        self.density = float(outcome.fired.sum()) / (n_tokens * len(outcome.fired))
        self.least_active = outcome.least_active
        if outcome.least_active is not None:
            self.threshold_sum += threshold_rate * (outcome.least_active - self.threshold_sum)
            self.threshold_weight += threshold_rate * (1.0 - self.threshold_weight)

    def tensors(self) -> dict[str, Tensor]:
        """Return everything as tensors."""
        # what fires has a score above zero, so zero can stand for no score
        numbers = [self.density, self.least_active or 0.0, self.threshold_sum, self.threshold_weight]
        return {
            "counts": torch.tensor([self.step, self.tokens]),
            "silent": self.silent,
            "numbers": torch.tensor(numbers, dtype=torch.float64),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], device: torch.device) -> Progress:
        """Return what `tensors` was made from."""
        step, tokens = tensors["counts"].tolist()
        density, least, total, weight = tensors["numbers"].tolist()
        silent = tensors["silent"].to(device, copy=True)
        return cls(step, tokens, silent, density, least or None, total, weight)
