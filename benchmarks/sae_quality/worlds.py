# pyright: standard
"""The worlds of the comparison: small SynthSAEBench ones, drawn once and read from disk by every trainer."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.contracts.sparse import DictionaryDials
from interp_lab.worlds.sparse.build import build_sparse

N_LATENTS = 128
"""Half as many as there are features: the rarer half has no latent of its own."""
HELD_OUT = 20_000
DIALS = DictionaryDials(features=256, width=64, rows=120_000, roots=8, depth=2)


class Truth(NamedTuple):
    """What is held out of one world, with what is true of it."""

    x: Tensor
    fires: NDArray[np.bool_]
    directions: NDArray[np.float32]
    l0: int
    """Features of the more frequent half that are active per row, rounded: the k of every dictionary."""

    @property
    def density(self) -> NDArray[np.float64]:
        """Share of rows on which each feature fires."""
        return self.fires.mean(axis=0)


def write_world(folder: Path, seed: int) -> None:
    """Draw one world and write it."""
    built = build_sparse("dictionary", DIALS, seed)
    rows = built.visible["activations"].astype(np.float32)
    np.save(folder / "train.npy", rows[HELD_OUT:])
    np.save(folder / "held_out.npy", rows[:HELD_OUT])
    np.save(folder / "fires.npy", built.features[:HELD_OUT] > 0)
    np.save(folder / "directions.npy", built.sealed["directions"])


def read_truth(folder: Path) -> Truth:
    """Return what is held out."""
    fires = np.load(folder / "fires.npy")
    often = np.argsort(-fires.mean(axis=0))[:N_LATENTS]
    directions = np.load(folder / "directions.npy")
    x = torch.from_numpy(np.load(folder / "held_out.npy"))
    return Truth(x, fires, directions, round(float(fires[:, often].sum(axis=1).mean())))


class Stream:
    """The training rows in an order that is the same for every trainer of one seed."""

    def __init__(self, folder: Path, batch: int, seed: int) -> None:
        self._rows = torch.from_numpy(np.load(folder / "train.npy"))
        self._batch = batch
        self._draw = torch.Generator().manual_seed(seed)
        self._order: list[Tensor] = []

    def batch(self) -> Tensor:
        """Return the next batch; every row comes once before any comes again."""
        if not self._order:
            whole = len(self._rows) // self._batch * self._batch
            order = torch.randperm(len(self._rows), generator=self._draw)[:whole]
            self._order = list(order.split(self._batch))
        return self._rows[self._order.pop()]
