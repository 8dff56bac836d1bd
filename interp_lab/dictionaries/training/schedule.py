# pyright: standard
"""What changes with the step: the learning rate and the weight of the sparsity penalty."""

from __future__ import annotations

import math

from interp_lab.contracts.dictionaries import TrainingConfig

_COSINE_END = 0.1


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up, plateau or half a cosine, linear decay."""
    rise = min((step + 1) / training.warmup_steps, 1.0) if training.warmup_steps else 1.0
    left = max(training.total_steps - step, 0)
    fall = min(left / training.decay_steps, 1.0) if training.decay_steps else 1.0
    return training.learning_rate * rise * fall * _plateau(training, step)


def sparsity(training: TrainingConfig, step: int) -> float:
    """Return the weight of the penalty at a step: linear warm-up from nothing."""
    rise = min(step / training.sparsity_warmup_steps, 1.0) if training.sparsity_warmup_steps else 1.0
    return training.sparsity_coefficient * rise


def _plateau(training: TrainingConfig, step: int) -> float:
    if training.schedule == "constant":
        return 1.0
    span = max(training.total_steps - training.warmup_steps - training.decay_steps, 1)
    done = min(max(step - training.warmup_steps, 0) / span, 1.0)
    return _COSINE_END + (1.0 - _COSINE_END) * 0.5 * (1.0 + math.cos(math.pi * done))
