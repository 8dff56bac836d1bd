# pyright: standard
"""What units are worth on every token, unedited: their scale, their means, and what is put in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.contracts.pooling import Pooling
from interp_lab.engine.edits import Slice, Target, Unit
from interp_lab.engine.harvest import token_values
from interp_lab.engine.lens import Site
from interp_lab.engine.pooling import poolable
from interp_lab.engine.precision import matmul_of_runs
from interp_lab.errors import NonFiniteActivations
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import Span, TokenizedPrompt

Values = tuple[NDArray[np.float32], ...]
"""Per prompt `(pos, width)`; the width of a unit is 1."""


@dataclass(frozen=True, eq=False)
class Scale:
    """How large a target's values are on the text tokens of explore prompts."""

    center: NDArray[np.float32]
    """Mean, `(width,)`."""
    typical: float
    """One unit of strength: mean value where active for latents, standard deviation for the rest."""
    spread: float
    """Standard deviation over tokens; of a slice, of its length."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Everything read of the unedited model."""

    values: Mapping[Target, Values]
    scales: Mapping[Target, Scale]
    explore: tuple[int, ...]
    text: tuple[tuple[bool, ...], ...]
    """Per prompt, which tokens stand for text."""

    def drawn(self, target: Target, seed: int) -> Callable[[int], Tensor]:
        """Return, by prompt, the target's values at random text tokens of explore prompts."""
        pool = np.concatenate([self.values[target][i][list(self.text[i])] for i in self.explore])

        def draw(prompt: int) -> Tensor:
            n_pos = len(self.values[target][prompt])
            rows = np.random.default_rng((seed, prompt)).integers(len(pool), size=n_pos)
            return _shaped(pool[rows], target)

        return draw

    def of_partner(self, target: Target, partners: Sequence[int | None]) -> Callable[[int], Tensor]:
        """Return, by prompt, the target's values in the other prompt of its pair, aligned at the end; NaN elsewhere."""

        def look_up(prompt: int) -> Tensor:
            own = np.full_like(self.values[target][prompt], np.nan)
            partner = partners[prompt]
            if partner is not None:
                there = self.values[target][partner]
                n = min(len(own), len(there))
                own[len(own) - n :] = there[len(there) - n :]
            return _shaped(own, target)

        return look_up

    def pooled(
        self,
        targets: Sequence[Target],
        prompts: Sequence[TokenizedPrompt],
        pooling: Pooling,
        spans: Sequence[Sequence[Span]],
    ) -> NDArray[np.float32]:
        """Return one value per prompt and target `(n_prompts, n_targets)`; of a slice, of its length."""
        masks = [np.asarray(mask) for mask in poolable(prompts, pooling, spans)]
        columns = [
            [_pool(_size(rows, target)[mask], pooling) for rows, mask in zip(self.values[target], masks, strict=True)]
            for target in targets
        ]
        return np.asarray(columns, dtype=np.float32).T


def read(
    loaded: LoadedModel,
    prompts: Sequence[TokenizedPrompt],
    targets: Sequence[Target],
    *,
    explore: Sequence[int],
    latents: frozenset[Target],
    check: Callable[[], None],
) -> Reading:
    """Return the values of the targets on every prompt, and their scale on explore prompts.

    Raises:
        NonFiniteActivations: A value is NaN or infinite.
    """
    wanted: dict[Site, list[int]] = {}
    for target in targets:
        site, indices = _place(target)
        wanted[site] = sorted({*wanted.get(site, []), *indices})
    found: dict[Target, list[NDArray[np.float32]]] = {t: [np.zeros(0, np.float32)] * len(prompts) for t in targets}
    with matmul_of_runs(loaded.facts.d_model):
        for row in token_values(loaded, prompts, wanted):
            check()
            for target in targets:
                site, indices = _place(target)
                lanes = [wanted[site].index(i) for i in indices]
                found[target][row.prompt] = row.values[site][:, lanes]
                if not np.isfinite(found[target][row.prompt]).all():
                    raise NonFiniteActivations(f"{target.key} is not finite in {prompts[row.prompt].id}.")
    text = tuple(tuple(not special for special in prompt.special) for prompt in prompts)
    values = {target: tuple(rows) for target, rows in found.items()}
    scales = {t: _scale(t, [values[t][i][list(text[i])] for i in explore], latent=t in latents) for t in targets}
    return Reading(values, scales, tuple(explore), text)


def rested(target: Target, scale: Scale, *, latent: bool) -> Target:
    """Return the target with its resting value and the distance from it that counts as active."""
    if isinstance(target, Slice) or latent:
        return target
    return replace(target, center=float(scale.center[0]), floor=scale.spread)


def _place(target: Target) -> tuple[Site, list[int]]:
    if isinstance(target, Slice):
        return target.writes, list(range(target.start, target.stop))
    return target.site, [target.index]


def _scale(target: Target, rows: Sequence[NDArray[np.float32]], *, latent: bool) -> Scale:
    every = np.concatenate(rows)
    sizes = _size(every, target)
    active = sizes[sizes > 0]
    typical = float(active.mean()) if latent and active.size else float(sizes.std())
    return Scale(every.mean(axis=0), typical or 1.0, float(sizes.std()))


def _size(rows: NDArray[np.float32], target: Target) -> NDArray[np.float32]:
    return np.linalg.norm(rows, axis=1) if isinstance(target, Slice) else rows[:, 0]


def _shaped(rows: NDArray[np.float32], target: Target) -> Tensor:
    found = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
    return found[:, 0] if isinstance(target, Unit) else found


def _pool(values: NDArray[np.float32], pooling: Pooling) -> float:
    if pooling == "max":
        return float(values.max())
    return float(values[-1]) if pooling == "last" else float(values.mean())
