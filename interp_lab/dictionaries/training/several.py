# pyright: standard
"""Several dictionaries from one pass over the activations: widths, sparsities and seeds side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from interp_lab.dictionaries.training.metrics import Block, StepMetrics
from interp_lab.dictionaries.training.trainer import Trainer


def train_together(trainers: Sequence[Trainer], blocks: Iterable[Block]) -> Iterator[tuple[StepMetrics, ...]]:
    """Yield the figures of every trainer after each batch; all see the same batches in the same order."""
    for block in blocks:
        x, target = block if isinstance(block, tuple) else (block, None)
        yield tuple(trainer.step(x, target) for trainer in trainers)
