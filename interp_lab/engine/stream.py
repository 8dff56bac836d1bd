# pyright: standard
"""Activations straight from the model to whoever trains on them: shuffled in a buffer, reproducibly, never on disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_lab.engine.attention import product_attention
from interp_lab.engine.budget import row_tokens, token_budget
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.packing import packing_check
from interp_lab.engine.precision import matmul_precision
from interp_lab.engine.sweep import PassPlan, Swept, sweep
from interp_lab.errors import InvalidRequest
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address

Batch = dict[Address, Tensor]
"""`(rows, width)` per address, on the device of the model; row r is the same token at every address."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How a stream is read and mixed."""

    batch_size: int
    """Rows of every batch but the last."""
    buffer_rows: int
    """Rows that a batch is drawn from; 0 keeps the order in which the model was run."""
    seed: int = 0
    """Decides every draw."""
    drop_ids: Collection[int] = ()
    """Tokens whose rows are left out, for example the beginning-of-text token."""
    read_tokens: int = 8192
    """Tokens that are read before rows are handed on."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or 0 < self.buffer_rows < self.batch_size:
            raise InvalidRequest(f"A buffer of {self.buffer_rows} rows cannot fill batches of {self.batch_size}.")


def stream(
    loaded: LoadedModel,
    texts: Iterable[Sequence[int]],
    addresses: Sequence[Address],
    settings: StreamSettings,
    *,
    plan: PassPlan | None = None,
) -> Iterator[Batch]:
    """Yield batches of activations of all tokens of `texts`, token ids that each fit the context of the model.

    The same model, texts and settings give the same batches. `texts` is read as it is needed, so it may be endless.
    Between two batches the model is free for others.

    Raises:
        HookPointUnavailable, LayerOutOfRange, OutOfMemory: see `sweep`.
    """
    chosen = plan or default_plan(loaded, addresses)
    dropped = torch.tensor(sorted(settings.drop_ids), dtype=torch.long)
    mixer = _Mixer(settings)
    for group in _groups(texts, settings.read_tokens):
        with matmul_precision(), fused_activations(loaded), product_attention(loaded):
            parts = [_kept(swept, group, dropped) for swept in sweep(loaded, group, addresses, chosen)]
        for part in parts:
            yield from mixer.add(part)
    yield from mixer.drain()


def default_plan(loaded: LoadedModel, addresses: Sequence[Address]) -> PassPlan:
    """Return packed passes where this loaded model keeps packed texts apart, else padded ones."""
    with product_attention(loaded):
        packs = packing_check(loaded).exact
    return PassPlan(token_budget(loaded, addresses), row_tokens(loaded.device) if packs else None)


def _groups(texts: Iterable[Sequence[int]], n_tokens: int) -> Iterator[list[Sequence[int]]]:
    group: list[Sequence[int]] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size >= n_tokens:
            yield group
            group, size = [], 0
    if group:
        yield group


def _kept(swept: Swept, group: list[Sequence[int]], dropped: Tensor) -> Batch:
    """The rows of a pass without those of dropped tokens."""
    if len(dropped) == 0:
        return swept.values
    ids = torch.tensor([token for index in swept.pieces for token in group[index]])
    kept = (~torch.isin(ids, dropped)).nonzero().squeeze(1)
    return {address: value[kept.to(value.device)] for address, value in swept.values.items()}


class _Mixer:
    """Rows in a fixed amount of memory; a batch is drawn at random and its places are filled with what comes next."""

    def __init__(self, settings: StreamSettings) -> None:
        self._batch = settings.batch_size
        self._capacity = settings.buffer_rows or settings.batch_size
        self._shuffles = settings.buffer_rows > 0
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._free = torch.arange(self._capacity)
        self._rows: Batch = {}

    def add(self, part: Batch) -> Iterator[Batch]:
        """Take rows and yield the batches that they complete."""
        n_rows = len(next(iter(part.values())))
        begin = 0
        while begin < n_rows:
            end = min(n_rows, begin + len(self._free))
            slots, self._free = self._free[: end - begin], self._free[end - begin :]
            for address, value in part.items():
                if address not in self._rows:
                    self._rows[address] = value.new_empty((self._capacity, value.shape[-1]))
                self._rows[address][slots] = value[begin:end]
            begin = end
            if len(self._free) == 0:
                yield self._draw()

    def drain(self) -> Iterator[Batch]:
        """Yield what is left; only the last batch is smaller."""
        taken = torch.ones(self._capacity, dtype=torch.bool)
        taken[self._free] = False
        left = taken.nonzero().squeeze(1)
        order = left[torch.randperm(len(left), generator=self._generator)] if self._shuffles else left
        for slots in order.split(self._batch) if len(order) else ():
            yield {address: rows[slots] for address, rows in self._rows.items()}

    def _draw(self) -> Batch:
        if self._shuffles:
            self._free = torch.randperm(self._capacity, generator=self._generator)[: self._batch]
        else:
            self._free = torch.arange(self._capacity)
        return {address: rows[self._free] for address, rows in self._rows.items()}
