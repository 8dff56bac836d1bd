"""Synthetic activations: sparse sums of more directions than coordinates, often-used ones first, and a little noise.

Batches are drawn once and read from disk, so that what a trainer needs is not hidden behind what drawing needs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_ACTIVE = 40
_NOISE = 0.05
_SEED = 20_260


class Activations:
    """Batches of one fixed world; its seed is no trainer's, so no weights start at its directions."""

    def __init__(self, width: int, n_features: int, batch: int) -> None:
        draw = torch.Generator().manual_seed(_SEED)
        self._directions = functional.normalize(torch.randn(n_features, width, generator=draw), dim=1)
        self._batch = batch

    def batch(self, number: int) -> Tensor:
        """Return batch `number`; negative numbers are held out."""
        draw = torch.Generator().manual_seed(_SEED + 1000 + number)
        shape = (self._batch, _ACTIVE)
        features = (torch.rand(shape, generator=draw) ** 2 * len(self._directions)).long()
        values = torch.rand(shape, generator=draw) * 2 + 0.5
        clean = functional.embedding_bag(features, self._directions, per_sample_weights=values, mode="sum")
        return clean + _NOISE * torch.randn(clean.shape, generator=draw)

    def write(self, folder: Path, count: int) -> None:
        """Write that many batches, and the first that is held out."""
        for number in range(-1, count):
            np.save(_file(folder, number), self.batch(number).numpy())


def read(folder: Path, number: int) -> Tensor:
    """Return a batch that was written."""
    return torch.from_numpy(np.load(_file(folder, number)))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.npy"
