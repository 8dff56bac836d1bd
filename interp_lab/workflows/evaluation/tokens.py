# pyright: standard
"""The tokens that a dictionary is measured on, block by block and the same every time: from a store or a world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest
from interp_lab.contracts.evaluation_report import TrainingOverlap
from interp_lab.errors import EvaluationUnfit
from interp_lab.store.reader import ActivationStore
from interp_lab.workflows.evaluation.places import Places, Training, overlap_by_name, places_of
from interp_lab.workflows.training.columns import store_hash, token_split
from interp_lab.worlds.folder import ARRAYS, open_true_arrays, open_truth, read_manifest

Wholes = NDArray[np.int64]
Floats = NDArray[np.float32]

BLOCK = 2048
_LEAST_GROUPS = 2


@dataclass(frozen=True, eq=False)
class Block:
    """Some tokens."""

    x: Tensor
    """What the dictionary reads `(token, d_in)`."""
    target: Tensor
    """What it is to give `(token, d_out)`."""
    groups: Wholes
    """Group of every token, from 0."""
    prompts: Wholes
    """Prompt of every token, from 0."""
    tokens: Wholes | None = None
    """Identity of every token, each prompt's in order; none where rows are no tokens of a text."""


class Tokens(ABC):
    """All tokens of an evaluation."""

    places: Places
    data: str
    """What they are of, in words."""
    inputs: dict[str, str]
    """Name → what was read, for the record."""
    overlap: TrainingOverlap
    groups: Wholes
    """Group of every token, in any order."""
    prompts: Wholes
    """Prompt of every token, in the same order."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Yield all tokens, the same blocks every time."""

    @property
    def n_tokens(self) -> int:
        """Tokens."""
        return int(self.groups.size)

    @cached_property
    def group_ids(self) -> Wholes:
        """The independent groups that there are tokens of, ascending."""
        return np.unique(self.groups)

    @property
    def n_groups(self) -> int:
        """How many these are."""
        return int(self.group_ids.size)

    @property
    def n_prompts(self) -> int:
        """Prompts that there are tokens of."""
        return int(np.unique(self.prompts).size)

    def sample(self, n_tokens: int) -> Tensor:
        """Return what the dictionary reads on the first tokens, at least so many if there are."""
        found: list[Tensor] = []
        for block in self.blocks():
            found.append(block.x)
            if sum(map(len, found)) >= n_tokens:
                break
        return torch.cat(found)


def chosen_prompts(prompts: Wholes, groups: Wholes, n_tokens: int, seed: int) -> NDArray[np.bool_]:
    """Return which tokens to take: those of prompts drawn by seed until there are enough, of two groups at least.

    Raises:
        EvaluationUnfit: There are tokens of fewer than two groups.
    """
    if np.unique(groups).size < _LEAST_GROUPS:
        raise EvaluationUnfit(f"There are tokens of {np.unique(groups).size} independent groups to measure on.")
    own, first, sizes = np.unique(prompts, return_index=True, return_counts=True)
    order = np.random.default_rng([seed, 0xE7A1]).permutation(own.size)
    enough = int(np.searchsorted(np.cumsum(sizes[order]), n_tokens)) + 1
    several = int(np.argmax(groups[first[order]] != groups[first[order[0]]])) + 1
    return np.isin(prompts, own[order[: max(enough, several)]])


class StoreTokens(Tokens):
    """Tokens of a store; those that the dictionary was trained on are left out where its record tells them."""

    def __init__(
        self, store: ActivationStore, config: DictionaryConfig, training: Training, request: EvaluateSaeRequest
    ) -> None:
        self._store = store
        self.places = places_of(config, store.dense_widths)
        dataset = store.manifest.dataset.name if store.manifest.dataset else None
        self.data = f"store of {dataset}" if dataset else "store"
        self.inputs = {"store": store_hash(store)}
        table = store.rows(["prompt", "special", "token_id"])
        prompts = table.column("prompt").to_numpy().astype(np.int64)
        groups = store.prompts().column("group").to_numpy().astype(np.int64)[prompts]
        usable = np.ones(store.n_rows, dtype=bool)
        if request.skip_special:
            usable &= ~np.asarray(table.column("special").to_numpy(), dtype=bool)
        held_out = held_out_rows(store, training)
        self.overlap = overlap_by_name(training, dataset) if held_out is None else "possible"
        if held_out is not None and request.part == "held_out":
            usable &= held_out
            self.overlap = "excluded"
        rows = np.flatnonzero(usable)
        rows = rows[chosen_prompts(prompts[rows], groups[rows], request.max_tokens, request.seed)]
        self._rows, self.groups, self.prompts = rows, groups[rows], prompts[rows]
        identity = table.column("token_id")
        self._tokens = None if identity.null_count else identity.to_numpy().astype(np.int64)[rows]

    def blocks(self) -> Iterator[Block]:
        """Yield all tokens, some thousand at a time."""
        for start in range(0, self._rows.size, BLOCK):
            part = slice(start, start + BLOCK)
            x = self._side_by_side(self.places.reads, part)
            target = x if self.places.same else self._side_by_side(self.places.writes, part)
            tokens = None if self._tokens is None else self._tokens[part]
            yield Block(x, target, self.groups[part], self.prompts[part], tokens)

    def _side_by_side(self, keys: tuple[str, ...], part: slice) -> Tensor:
        values = [torch.from_numpy(self._store.dense(key).take(self._rows[part])) for key in keys]
        return values[0] if len(values) == 1 else torch.cat(values, dim=1)


def held_out_rows(store: ActivationStore, training: Training) -> NDArray[np.bool_] | None:
    """Return the rows of a store that its training left out, or None where it was not trained on this store."""
    request = training.request
    if request is None or request.source.kind == "stream":
        return None
    same = {store_hash(store), str(store.manifest.settings.get("encoded_from"))}
    return token_split(store, request).held_out if training.inputs.get("store") in same else None


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of the rows of a world that are measured."""

    directions: Floats
    """`(n_features, width)`, unit rows."""
    features: Floats
    """True values `(row, n_features)`."""
    parents: Wholes
    """Parent of every feature, or -1."""


class WorldTokens(Tokens):
    """Rows of a world of sparse features: each is independent of all others."""

    def __init__(self, folder: Path, config: DictionaryConfig, request: EvaluateSaeRequest) -> None:
        manifest = read_manifest(folder)
        if manifest.kind not in {"dictionary", "absorption"} or config.kind != "sae":
            raise EvaluationUnfit(f"A {config.kind} cannot be measured on a world of kind {manifest.kind}.")
        truth, arrays = open_truth(folder), open_true_arrays(folder)
        activations = load_file(folder / ARRAYS)["activations"]
        where = config.addresses_in[0] if len(config.addresses_in) == 1 else "activations"
        self.places = places_of(config, {where: activations.shape[1]})
        self.data = f"world {manifest.kind} {manifest.seed}"
        self.inputs = {"world": manifest.files[ARRAYS]}
        self.overlap = "unknown"
        rows = np.sort(
            np.random.default_rng([request.seed, 0xE7A1]).permutation(len(activations))[: request.max_tokens]
        )
        self._activations = torch.from_numpy(activations[rows])
        self.groups = self.prompts = np.arange(rows.size, dtype=np.int64)
        parents = np.asarray(getattr(truth, "parents", ()), dtype=np.int64)
        features = np.asarray(arrays["features"], dtype=np.float32)[rows]
        self.truth = Truth(np.asarray(arrays["directions"], dtype=np.float32), features, parents)

    def blocks(self) -> Iterator[Block]:
        """Yield all rows, some thousand at a time."""
        for start in range(0, len(self._activations), BLOCK):
            x, own = self._activations[start : start + BLOCK], self.groups[start : start + BLOCK]
            yield Block(x, x, own, own)
