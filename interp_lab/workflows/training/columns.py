"""What of a store takes part in training: its columns, the use of its rows, and its hash. Torch-free."""

from __future__ import annotations

import numpy as np

from interp_lab.contracts.train_sae import SideBySideSource, StoreSource, StoresSource, TrainSaeRequest
from interp_lab.errors import TrainingSourceUnfit
from interp_lab.settings import Settings
from interp_lab.store.beside import StoresBeside, beside_key
from interp_lab.store.locate import open_named_store
from interp_lab.store.reader import ActivationStore
from interp_lab.workflows.training.split import Ints, TokenSplit, split_tokens


def store_hash(store: ActivationStore) -> str:
    """Return a hash over the manifest of a store, which has the hashes of all its bytes."""
    return store.content_hash


def open_stored(source: StoreSource | StoresSource, settings: Settings) -> ActivationStore:
    """Return the store of a source, or its stores side by side.

    Raises:
        StoresNotAligned: Several stores are not of the same tokens.
        LabError: A store cannot be opened; see `open_named_store`.
    """
    if source.kind == "store":
        return open_named_store(source.store, settings)
    return StoresBeside([open_named_store(name, settings) for name in source.stores])


def dense_widths(store: ActivationStore, request: TrainSaeRequest) -> dict[str, int]:
    """Return the columns that the request needs and their widths; every dense one if it names none.

    Raises:
        UnknownColumn: The store lacks one of them.
    """
    keys = _named(request) or tuple(store.dense_widths)
    if not keys:
        raise TrainingSourceUnfit("The store has no dense column.")
    return {key: store.dense(key).column.width for key in keys}


def _named(request: TrainSaeRequest) -> tuple[str, ...]:
    source = request.source
    if isinstance(source, SideBySideSource):
        lists = source.addresses or (request.addresses,) * len(source.stores)
        return tuple(beside_key(number, str(each)) for number, own in enumerate(lists) for each in own)
    return tuple(dict.fromkeys(map(str, (*request.addresses, *request.targets))))


def token_split(store: ActivationStore, request: TrainSaeRequest) -> TokenSplit:
    """Return the use of every row of a store; see `split_tokens` for errors."""
    table = store.rows(["prompt", "special"])
    groups = store.prompts().column("group").to_numpy()[table.column("prompt").to_numpy()]
    special = np.asarray(table.column("special").to_numpy(), dtype=bool)
    usable = ~special if request.skip_special else np.ones(store.n_rows, dtype=bool)
    return split_tokens(groups, usable, request.held_out, request.seed)


def held_out_rows(split: TokenSplit, request: TrainSaeRequest) -> Ints:
    """Return the held-out rows that are measured on, in order; of too many, a sample by seed of at least two groups."""
    rows = np.flatnonzero(split.held_out)
    if rows.size <= request.held_out_tokens:
        return rows
    drawn = rows[np.random.default_rng([request.seed, 0x8E1D]).permutation(rows.size)]
    chosen = drawn[: request.held_out_tokens]
    others = drawn[split.groups[drawn] != split.groups[chosen[0]]]
    if others.size and others[0] not in chosen:  # figures over one group would have no interval
        chosen[-1] = others[0]
    return np.sort(chosen)
