# pyright: standard
"""Activations straight from a model: documents are read a chunk at a time, their tokens mixed and trained on."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.train_sae import StreamSource, TrainSaeRequest
from interp_lab.engine.sweep import PassPlan, sweep
from interp_lab.errors import TrainingSourceUnfit
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.decisions import as_decided, decide
from interp_lab.workflows.harvesting.inputs import Inputs, open_inputs
from interp_lab.workflows.harvesting.tokens import held_tokens
from interp_lab.workflows.training.feed import Feed, HeldOut, Position, Values
from interp_lab.workflows.training.plan import Origin
from interp_lab.workflows.training.split import Ints, split_tokens


class _Piece(NamedTuple):
    """A stretch of one document that is read at once."""

    ids: array[int]
    """Four bytes a token: all pieces of the corpus are held for as long as it is trained on."""
    keep: bytes
    """1 for every token that is trained on or measured, else 0."""
    group: int


class StreamFeed(Feed):
    """Batches computed as they are needed; a batch depends on the seed and its position alone.

    What a model computes depends in its last bits on how texts are laid out and on the forms that are in use: both are
    kept in `folder`, where there is one, so that training that goes on after an interruption reads what it read before.
    """

    def __init__(
        self, request: TrainSaeRequest, source: StreamSource, settings: Settings, *, folder: Path | None = None
    ) -> None:
        self._request = request
        self._source = source
        addresses = tuple(dict.fromkeys((*request.addresses, *request.targets)))
        harvest = HarvestRequest(model=source.model, dataset=source.dataset, addresses=addresses)
        self._inputs = open_inputs(harvest, settings, ())
        loaded = self._inputs.loaded
        pieces = _pieces(self._inputs, skip_special=request.skip_special)
        train, held_out = _split(pieces, request)
        self._train = train
        order = np.random.default_rng([request.seed, 0x8E1D]).permutation(len(held_out))
        self._held_out = _enough([held_out[i] for i in order], request.held_out_tokens)
        self._decided = decide(self._inputs, folder)
        self._plan = PassPlan(self._decided.token_budget, self._decided.row)
        self._measured: tuple[Values, Ints] | None = None
        self.n_train = sum(sum(piece.keep) for piece in train)
        self.n_train_groups = len({piece.group for piece in train})
        corpus = self._inputs.corpus
        self.inputs = {
            "model": f"{loaded.source.id}@{loaded.version}",
            "dataset": f"{corpus.name} sha256:{corpus.sha256}",
        }
        self.origin = Origin((loaded.source.id,), corpus.name)
        self.widths = self._decided.widths

    def epoch(self, keys: Sequence[str], batch_tokens: int, position: Position) -> Iterator[Values]:
        """Yield the batches of an epoch from a position on; a last batch that is not full is left out."""
        return islice(self._batches(keys, batch_tokens, position), self.n_train // batch_tokens - position.batch)

    def held_out(self, keys: Sequence[str]) -> Iterator[HeldOut]:
        """Yield held-out tokens; they are read once and kept."""
        if self._measured is None:
            counts = [sum(piece.keep) for piece in self._held_out]
            groups = np.repeat(np.asarray([piece.group for piece in self._held_out], dtype=np.int64), counts)
            self._measured = self._read(self._held_out, tuple(self.widths)), groups
        values, groups = self._measured
        yield HeldOut({key: values[key] for key in keys}, groups)

    def _batches(self, keys: Sequence[str], batch_tokens: int, position: Position) -> Iterator[Values]:
        """Yield batches of one epoch; whole chunks before the position are counted, not read."""
        rng = np.random.default_rng([self._request.seed, position.epoch, 0x57E4])
        order = [self._train[i] for i in rng.permutation(len(self._train))]
        skip = position.batch
        rest: Values = {key: torch.zeros(0, self.widths[key]) for key in keys}
        for chunk in _chunks(order, max(self._source.buffer_tokens, batch_tokens)):
            n_tokens = sum(sum(piece.keep) for piece in chunk)
            mixed = torch.from_numpy(rng.permutation(n_tokens))
            held = next(iter(rest.values())).shape[0]
            n_batches = (held + n_tokens) // batch_tokens
            if skip > n_batches:
                # Nothing of this chunk is trained on any more, and neither is what it would leave for the next.
                skip -= n_batches
                left = (held + n_tokens) % batch_tokens
                rest = {key: torch.zeros(left, self.widths[key]) for key in keys}
                continue
            values = self._read(chunk, keys)
            rest = {key: torch.cat([rest[key], values[key][mixed]]) for key in keys}
            for number in range(skip, n_batches):
                yield {key: rest[key][number * batch_tokens : (number + 1) * batch_tokens] for key in keys}
            rest = {key: rest[key][n_batches * batch_tokens :] for key in keys}
            skip = 0

    def _read(self, pieces: Sequence[_Piece], keys: Sequence[str]) -> Values:
        """Return the activations of the tokens to keep, in the order of the pieces."""
        addresses = [Address.parse(key) for key in keys]
        found: dict[int, dict[str, torch.Tensor]] = {}
        with as_decided(self._inputs, self._decided):
            for swept in sweep(self._inputs.loaded, [piece.ids for piece in pieces], addresses, self._plan):
                start = 0
                for index in swept.pieces:
                    stop = start + len(pieces[index].ids)
                    keep = torch.frombuffer(bytearray(pieces[index].keep), dtype=torch.bool)
                    found[index] = {str(a): value[start:stop].float().cpu()[keep] for a, value in swept.values.items()}
                    start = stop
        return {key: torch.cat([found[index][key] for index in range(len(pieces))]) for key in keys}


def _pieces(inputs: Inputs, *, skip_special: bool) -> list[_Piece]:
    found: list[_Piece] = []
    context = inputs.rule.context
    groups = inputs.grouping.groups
    for index, (ids, special) in enumerate(held_tokens(inputs)):
        keep = bytes(not (skip_special and each) for each in special)
        for start in range(0, len(ids), context):
            stop = start + context
            found.append(_Piece(ids[start:stop], keep[start:stop], groups[index]))
    return [piece for piece in found if any(piece.keep)]


def _split(pieces: Sequence[_Piece], request: TrainSaeRequest) -> tuple[list[_Piece], list[_Piece]]:
    if not pieces:
        raise TrainingSourceUnfit("The corpus has no tokens to train on.")
    lengths = [len(piece.ids) for piece in pieces]
    groups = np.repeat(np.asarray([piece.group for piece in pieces], dtype=np.int64), lengths)
    usable = np.frombuffer(b"".join(piece.keep for piece in pieces), dtype=np.bool_)
    split = split_tokens(groups, usable, request.held_out, request.seed)
    kept = set(np.unique(groups[split.held_out]).tolist())
    return [piece for piece in pieces if piece.group not in kept], [piece for piece in pieces if piece.group in kept]


def _enough(pieces: Sequence[_Piece], n_tokens: int) -> list[_Piece]:
    """Return pieces from the front that have so many tokens, and those of at least two groups."""
    found: list[_Piece] = []
    count = 0
    for piece in pieces:
        if count >= n_tokens and len({each.group for each in found}) > 1:
            break
        found.append(piece)
        count += sum(piece.keep)
    return found


def _chunks(pieces: Sequence[_Piece], n_tokens: int) -> Iterator[list[_Piece]]:
    chunk: list[_Piece] = []
    count = 0
    for piece in pieces:
        chunk.append(piece)
        count += sum(piece.keep)
        if count >= n_tokens:
            yield chunk
            chunk, count = [], 0
    if chunk:
        yield chunk
