# pyright: standard
"""Activations on their way into training: shuffled batches that can be taken up anywhere, and held-out blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.store.reader import ActivationStore
from interp_lab.workflows.training.columns import dense_widths, held_out_rows, store_hash, token_split
from interp_lab.workflows.training.plan import Origin, Planned
from interp_lab.workflows.training.split import Ints

_BLOCK = 2048

Values = dict[str, Tensor]


class Position(NamedTuple):
    """How far training is in the activations: the next batch of an epoch."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Some held-out tokens."""

    values: Values
    groups: Ints


class Feed(ABC):
    """Where batches come from; the same request and position always give the same ones."""

    widths: dict[str, int]
    """Width of every column."""
    n_train: int
    """Tokens of one epoch."""
    n_train_groups: int
    origin: Origin
    inputs: dict[str, str]
    """Name → what was read, for the record of the artifacts."""

    @abstractmethod
    def epoch(self, keys: Sequence[str], batch_tokens: int, position: Position) -> Iterator[Values]:
        """Yield the batches of an epoch from a position on; a last batch that is not full is left out."""

    @abstractmethod
    def held_out(self, keys: Sequence[str]) -> Iterator[HeldOut]:
        """Yield held-out tokens, a block at a time, the same every time."""

    def batches(self, keys: Sequence[str], batch_tokens: int, position: Position) -> Iterator[tuple[Position, Values]]:
        """Yield batches for ever, each with the position after it."""
        while True:
            for values in self.epoch(keys, batch_tokens, position):
                position = Position(position.epoch, position.batch + 1)
                yield position, values
            position = Position(position.epoch + 1, 0)


def joined(values: Values, dictionary: Planned) -> tuple[Tensor, Tensor | None]:
    """Return the input of a dictionary and, if it is another, what it is to reconstruct."""
    return _side_by_side(values, dictionary.reads), _side_by_side(
        values, dictionary.writes
    ) if dictionary.writes else None


def _side_by_side(values: Values, keys: Sequence[str]) -> Tensor:
    return values[keys[0]] if len(keys) == 1 else torch.cat([values[key] for key in keys], dim=1)


class StoreFeed(Feed):
    """Batches from a store on disk."""

    def __init__(self, store: ActivationStore, request: TrainSaeRequest) -> None:
        self._store = store
        self._request = request
        self.widths = dense_widths(store, request)
        dataset = store.manifest.dataset.name if store.manifest.dataset else None
        self.origin = Origin(store.models, dataset)
        self.inputs = {"store": store_hash(store)}
        self._split = token_split(store, request)
        self.n_train = int(self._split.train.sum())
        self.n_train_groups = self._split.n_train_groups

    def epoch(self, keys: Sequence[str], batch_tokens: int, position: Position) -> Iterator[Values]:
        """Yield the batches of an epoch from a position on; a last batch that is not full is left out."""
        seed = self._request.seed
        batches = self._store.batches(keys, batch_tokens, seed=seed, epoch=position.epoch, where=self._split.train)
        for batch in islice(batches, position.batch, self.n_train // batch_tokens):
            yield {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in batch.items()}

    def held_out(self, keys: Sequence[str]) -> Iterator[HeldOut]:
        """Yield held-out tokens, a block at a time, the same every time."""
        rows = held_out_rows(self._split, self._request)
        for start in range(0, rows.size, _BLOCK):
            part = rows[start : start + _BLOCK]
            values = {key: torch.from_numpy(self._store.dense(key).take(part)) for key in keys}
            yield HeldOut(values, self._split.groups[part])
