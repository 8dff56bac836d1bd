# pyright: standard
"""The ways of writing that are compared: what each writes, its score and its side effects, prompt by prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.steer import ArmName, SteerRequest
from interp_lab.engine.addition import added
from interp_lab.engine.generation import Sampling, continuations
from interp_lab.engine.harvest import TOKEN_BUDGET
from interp_lab.engine.written import next_log_probs, repeated_pairs, surprise
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Written:
    """What one arm wrote after some prompts."""

    name: ArmName
    strength: float
    texts: tuple[tuple[int, ...], ...]
    score: Floats
    """`(n_prompts,)`, as all below."""
    surprise: Floats
    """Nats per token of its text to the unedited model, after the prompt alone."""
    kl: Floats
    repetition: Floats


@dataclass(frozen=True, eq=False)
class Desk:
    """What writes and scores: the model, the direction, the words."""

    loaded: LoadedModel
    request: SteerRequest
    address: Address
    unit: NDArray[np.float32]
    norm: float
    targets: tuple[int, ...]
    alternatives: tuple[int, ...]
    instruction: str
    check: Callable[[], None]

    def write(
        self,
        name: ArmName,
        prompts: Sequence[TokenizedPrompt],
        *,
        strength: float = 0.0,
        number: int = 0,
        base: torch.Tensor | None = None,
    ) -> Written:
        """Return what an arm writes; `number` counts random directions, `base` has the unedited predictions."""
        shown = self._instructed(prompts) if name == "instruction" else tuple(prompts)
        with added(self.loaded, self.address, self._vector(name, strength, number)):
            told = next_log_probs(self.loaded, shown)
            texts = continuations(self.loaded, shown, self._sampling(), check=self.check)
        plain = told if base is None else base
        return Written(
            name,
            strength,
            tuple(texts),
            self._score(texts, told),
            surprise(self.loaded, [prompt.ids for prompt in prompts], texts),
            (told.exp() * (told - plain)).sum(-1).double().numpy(),
            np.array([repeated_pairs(text) for text in texts]),
        )

    def predictions(self, prompts: Sequence[TokenizedPrompt]) -> torch.Tensor:
        """Return the unedited log-probabilities of the first new token."""
        return next_log_probs(self.loaded, prompts)

    def _vector(self, name: ArmName, strength: float, number: int) -> torch.Tensor | None:
        if name in ("plain", "instruction"):
            return None
        unit = torch.from_numpy(self.unit)
        if name == "random_direction":
            generator = torch.Generator().manual_seed(self.request.seed * 1_000_003 + number)
            unit = torch.randn(unit.shape, generator=generator)
            unit = unit / unit.norm()
        return (-strength if name == "opposite" else strength) * self.norm * unit

    def _instructed(self, prompts: Sequence[TokenizedPrompt]) -> tuple[TokenizedPrompt, ...]:
        return tokenize(self.loaded, {prompt.id: self.instruction + prompt.text for prompt in prompts})

    def _sampling(self) -> Sampling:
        request = self.request
        return Sampling(request.max_new_tokens, request.temperature, (request.seed,), TOKEN_BUDGET)

    def _score(self, texts: Sequence[tuple[int, ...]], told: torch.Tensor) -> Floats:
        if self.request.scorer == "target_logit":
            on, off = told[:, list(self.targets)].mean(1), told[:, list(self.alternatives)].mean(1)
            return (on - off).double().numpy()
        wanted = frozenset(self.targets)
        shares = np.array([sum(token in wanted for token in text) / max(1, len(text)) for text in texts])
        return (shares > 0).astype(np.float64) if self.request.scorer == "target_any" else shares
