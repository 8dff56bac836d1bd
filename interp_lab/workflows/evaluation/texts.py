# pyright: standard
"""Tokens that a model reads while a dictionary is measured on what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest, TextSource
from interp_lab.contracts.evaluation_report import TrainingOverlap
from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.engine.attention import product_attention
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.pieces import cut
from interp_lab.engine.stream import default_plan
from interp_lab.engine.sweep import Swept, sweep
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read
from interp_lab.workflows.evaluation.places import Places, Training, overlap_by_name
from interp_lab.workflows.evaluation.tokens import Block, Tokens, Wholes, chosen_prompts
from interp_lab.workflows.harvesting.inputs import Inputs, open_inputs
from interp_lab.workflows.harvesting.tokens import HeldTokens, held_tokens
from interp_lab.workflows.training.split import split_tokens


class Text(NamedTuple):
    """What goes through the model at once."""

    ids: tuple[int, ...]
    keep: tuple[bool, ...]
    """Which of its tokens are measured."""
    group: int
    prompt: int


class TextTokens(Tokens):
    """Tokens of a corpus; the prompts that the dictionary was trained on are left out where its record tells them."""

    def __init__(
        self,
        source: TextSource,
        config: DictionaryConfig,
        training: Training,
        *,
        request: EvaluateSaeRequest,
        settings: Settings,
        check: Callable[[], None],
    ) -> None:
        places = Places(config.addresses_in, config.addresses_out or config.addresses_in)
        addresses = tuple(Address.parse(key) for key in dict.fromkeys((*places.reads, *places.writes)))
        self._inputs = open_inputs(
            HarvestRequest(model=source.model, dataset=source.dataset, addresses=addresses), settings, ()
        )
        self._check = check
        self.loaded = self._inputs.loaded
        addresses_read(config, self.loaded.facts)
        self.places = places
        self.addresses = addresses
        self.plan = default_plan(self.loaded, addresses)
        corpus, model = self._inputs.corpus, self.loaded.source
        self.data = f"{corpus.name} read by {model.id}"
        self.inputs = {
            "model": f"{model.id}@{self.loaded.version}",
            "dataset": f"{corpus.name} sha256:{corpus.sha256}",
        }
        self.texts, self.overlap = self._choose(training, request)
        kept = np.asarray([sum(text.keep) for text in self.texts], dtype=np.int64)
        self.groups = np.repeat(np.asarray([text.group for text in self.texts], dtype=np.int64), kept)
        self.prompts = np.repeat(np.asarray([text.prompt for text in self.texts], dtype=np.int64), kept)

    def blocks(self) -> Iterator[Block]:
        """Yield the tokens of one pass after another, long texts first."""
        ids = [text.ids for text in self.texts]
        with fused_activations(self.loaded), product_attention(self.loaded):
            for swept in sweep(self.loaded, ids, self.addresses, self.plan, check=self._check):
                yield self._block(swept)

    def _block(self, swept: Swept) -> Block:
        texts = [self.texts[index] for index in swept.pieces]
        keep = torch.tensor([kept for text in texts for kept in text.keep])
        values = {str(a): value.float()[keep.to(value.device)] for a, value in swept.values.items()}
        ends = (self.places.reads, self.places.writes)
        x, target = (torch.cat([values[key] for key in keys], dim=1) for keys in ends)
        counts = [sum(text.keep) for text in texts]
        groups, prompts = (_each([getattr(t, of) for t in texts], counts) for of in ("group", "prompt"))
        ids = [token for text in texts for token, kept in zip(text.ids, text.keep, strict=True) if kept]
        return Block(x, target, groups, prompts, np.asarray(ids, dtype=np.int64))

    def _choose(self, training: Training, request: EvaluateSaeRequest) -> tuple[list[Text], TrainingOverlap]:
        documents = held_tokens(self._inputs)
        groups = np.asarray(self._inputs.grouping.groups, dtype=np.int64)
        lengths = [len(document.ids) for document in documents]
        prompts = _each(range(len(documents)), lengths)
        special = np.frombuffer(b"".join(document.special for document in documents), dtype=np.bool_)
        usable = ~special if request.skip_special else np.ones_like(special)
        held_out = self._held_out(training, groups[prompts], special)
        overlap: TrainingOverlap = overlap_by_name(training, self._inputs.corpus.name)
        if held_out is not None:
            overlap = "excluded" if request.part == "held_out" else "possible"
            usable &= held_out if request.part == "held_out" else True
        rows = np.flatnonzero(usable)
        own = rows[chosen_prompts(prompts[rows], groups[prompts[rows]], request.max_tokens, request.seed)]
        keep = np.zeros_like(usable)
        keep[own] = True
        marks = np.split(keep, np.cumsum(lengths)[:-1])
        return [t for t in _texts(self._inputs, documents, marks, groups) if any(t.keep)], overlap

    def _held_out(self, training: Training, groups: Wholes, special: np.ndarray) -> np.ndarray | None:
        """Return the tokens that training left out, or None where it did not stream this corpus through this model."""
        request = training.request
        if request is None or request.source.kind != "stream":
            return None
        if any(training.inputs.get(name) != value for name, value in self.inputs.items()):
            return None
        usable = ~special if request.skip_special else np.ones_like(special)
        return split_tokens(groups, usable, request.held_out, request.seed).held_out


def _texts(inputs: Inputs, documents: list[HeldTokens], marks: list[np.ndarray], groups: Wholes) -> Iterator[Text]:
    chosen = [number for number, mark in enumerate(marks) if mark.any()]
    ids = [tuple(documents[number].ids) for number in chosen]
    special = [tuple(map(bool, documents[number].special)) for number in chosen]
    for piece in cut(ids, special, inputs.rule):
        number = chosen[piece.document]
        keep = [False] * len(piece)
        keep[piece.own] = marks[number][piece.first : piece.first + piece.n_own].tolist()
        yield Text(piece.ids, tuple(keep), int(groups[number]), number)


def _each(values: list[int] | range, counts: list[int]) -> Wholes:
    return np.repeat(np.asarray(values, dtype=np.int64), counts)
