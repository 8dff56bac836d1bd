# pyright: standard
"""Columns of an activation store as the values of an inspection: its rows pooled to one value per prompt and unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.workspace import is_artifact_id
from interp_lab.contracts.inspect_evidence import StoreEvidence
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.store import StoreManifest
from interp_lab.errors import InvalidPrompts, SeveralModels
from interp_lab.settings import Settings
from interp_lab.statistics.code_columns import CodeColumns
from interp_lab.store.locate import open_named_store
from interp_lab.store.reader import ActivationStore
from interp_lab.store.tables import label_column
from interp_lab.workflows.inspection.tables import Pooled, Sparse
from interp_lab.workflows.inspection.values import TokenRow, Values, unloaded

_CELLS = 1 << 22
"""Prompts times units that are pooled at once."""
Floats = NDArray[np.float32]


class Layout(NamedTuple):
    """Which rows count for which prompt."""

    prompt: NDArray[np.int32]
    """Prompt of every row; -1 for one that does not count."""
    sizes: NDArray[np.int64]
    """Rows that count of every prompt."""
    last: NDArray[np.bool_]
    """Whether a row is the last of its prompt that counts."""
    pooling: Pooling

    @property
    def n_prompts(self) -> int:
        """Prompts."""
        return int(self.sizes.size)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whether a row counts."""
        return self.prompt >= 0


def read_store_values(source: StoreEvidence, model: str, pooling: Pooling, settings: Settings) -> Values:
    """Return columns of a store pooled to prompts; special tokens do not count.

    Raises:
        SeveralModels: the store is of another model.
        UnknownColumn: there is no such column.
        InvalidPrompts: a prompt has no row that counts, such as one without a span where pooling is 'span'.
    """
    store = open_named_store(source.store, settings)
    facts = store_facts(store.manifest, model, source.store)
    keys = source.columns or store.keys
    layout = _layout(store, pooling)
    kinds = {store.column(key).kind for key in keys}
    table = _dense(store, keys, layout) if kinds == {"dense"} else _sparse(store, keys, layout)
    tokens = store.manifest.row == "token"
    return Values(
        name=f"store {source.store}" if is_artifact_id(source.store) else source.store,
        prompts=stored_prompts(store),
        table=table,
        lengths=[int(size) for size in layout.sizes] if tokens else None,
        facts=facts,
        sources={"store": source.store if is_artifact_id(source.store) else str(store.manifest.title)},
        tokens=partial(_tokens, store, table) if tokens else None,
    )


def store_facts(manifest: StoreManifest, model: str, name: str) -> ModelFacts:
    """Return what a store knows of its model.

    Raises:
        SeveralModels: it is of another model than was asked for.
    """
    stored = manifest.model
    if stored is not None and stored.id != model:
        raise SeveralModels(f"The store holds activations of {stored.id!r}, not of {model!r}.")
    known: dict[str, Any] = {}
    if stored is not None:
        known = {"architecture": stored.architecture or None, "revision": stored.revision, "dtype": stored.dtype}
        known["weights_sha256"] = stored.weights_hash
    return unloaded(model, f"activation store {name}", **known)


def stored_prompts(store: ActivationStore) -> list[dict[str, Any]]:
    """Return id, text, score, group and labels of every prompt of a store."""
    table = store.prompts()
    names = [label.name for label in store.manifest.labels if label.scope == "prompt"]
    columns = {name: table.column(name).to_pylist() for name in ("id", "text", "score", "group")}
    labels = {name: table.column(label_column(name)).to_pylist() for name in names}
    return [
        {name: values[i] for name, values in columns.items()}
        | {"labels": {name: values[i] for name, values in labels.items() if values[i] is not None}}
        for i in range(table.num_rows)
    ]


def _layout(store: ActivationStore, pooling: Pooling) -> Layout:
    rows = store.rows(["prompt", "position", "special", "span"])
    prompt = rows.column("prompt").to_numpy().astype(np.int32)
    position = rows.column("position").to_numpy()
    skipped = rows.column("special").to_numpy(zero_copy_only=False).astype(np.bool_)
    if pooling == "span":
        skipped |= ~rows.column("span").to_numpy(zero_copy_only=False).astype(np.bool_)
    own = np.where(skipped, -1, prompt).astype(np.int32)
    sizes = np.bincount(own[own >= 0], minlength=store.prompts().num_rows)
    if not sizes.all():
        raise InvalidPrompts(
            f"Prompt {int(np.argmin(sizes))} of the store has no row that counts with pooling {pooling!r}.",
            remedy="Choose another pooling: span needs labelled spans on every prompt.",
        )
    last = np.zeros(own.size, np.bool_)
    order = np.lexsort((position, own))
    ends = np.flatnonzero(np.append(np.diff(own[order]) != 0, True))
    last[order[ends]] = True
    return Layout(own, sizes, last & (own >= 0), pooling)


def _dense(store: ActivationStore, keys: Sequence[str], layout: Layout) -> Pooled:
    columns, values, density, start = {}, [], [], 0
    for key in keys:
        pooled, fired = _dense_column(store, key, layout)
        columns[key] = slice(start, start := start + pooled.shape[1])
        values.append(pooled)
        density.append(fired)
    return Pooled(np.concatenate(values, axis=1), np.concatenate(density), columns)


def _dense_column(store: ActivationStore, key: str, layout: Layout) -> tuple[Floats, NDArray[np.float64]]:
    width = store.column(key).width
    start_at = -np.inf if layout.pooling in ("max", "span") else 0.0
    pooled = np.full((layout.n_prompts, width), start_at, np.float64)
    fired = np.zeros(width)
    for start, block in store.dense(key).chunks():
        own = layout.prompt[start : start + len(block)]
        kept = own >= 0
        if layout.pooling == "last":
            fired += (block[kept] > 0).sum(axis=0)
            kept = kept & layout.last[start : start + len(block)]
        else:
            fired += (block[kept] > 0).sum(axis=0)
        into = np.maximum if layout.pooling in ("max", "span") else np.add
        into.at(pooled, own[kept], block[kept].astype(np.float64))
    if layout.pooling == "mean":
        pooled /= layout.sizes[:, None]
    return pooled.astype(np.float32), fired / max(1, int(layout.sizes.sum()))


def _sparse(store: ActivationStore, keys: Sequence[str], layout: Layout) -> Sparse:
    columns: dict[str, slice] = {}
    density: list[NDArray[np.float64]] = []
    parts: list[CodeColumns] = []
    start = 0
    for key in keys:
        width = store.column(key).width
        columns[key] = slice(start, start := start + width)
        if store.column(key).kind == "dense":
            pooled, fired = _dense_column(store, key, layout)
            found = [(_compact(pooled.T), fired)]
        else:
            found = list(_pooled_codes(store, key, layout))
        parts += [part for part, _ in found]
        density += [fired for _, fired in found]
    return Sparse(_joined(parts, layout.n_prompts), np.concatenate(density), columns)


def _pooled_codes(
    store: ActivationStore, key: str, layout: Layout
) -> Iterator[tuple[CodeColumns, NDArray[np.float64]]]:
    """Yield runs of latents pooled to prompts, and the share of rows on which each fires."""
    codes = store.codes(key)
    at_once = max(1, _CELLS // layout.n_prompts)
    n_rows = max(1, int(layout.sizes.sum()))
    for first in range(0, codes.width, at_once):
        run = codes.latents(first, min(first + at_once, codes.width))
        n = run.offsets.size - 1
        latent = np.repeat(np.arange(n), np.diff(run.offsets))
        prompt, values = layout.prompt[run.rows], run.values
        if not layout.kept.all():
            kept = prompt >= 0
            latent, prompt, values, rows = latent[kept], prompt[kept], values[kept], run.rows[kept]
        else:
            rows = run.rows
        fired = np.bincount(latent[values > 0], minlength=n) / n_rows
        cell = latent * layout.n_prompts + prompt
        yield _compact(_pool(cell, values, layout.last[rows], layout=layout, n=n)), fired


def _pool(cell: NDArray[np.int64], values: Floats, last: NDArray[np.bool_], *, layout: Layout, n: int) -> Floats:
    """Return a run of latents `(n, n_prompts)` from entries that fall within each latent."""
    shape = n, layout.n_prompts
    table = np.zeros(n * layout.n_prompts, np.float32)
    if layout.pooling == "last":
        table[cell[last]] = values[last]
    elif layout.pooling == "mean":
        table = np.bincount(cell, values, table.size).astype(np.float32)
        table = (table.reshape(shape) / layout.sizes).astype(np.float32).ravel()
    else:
        # Entries fall within a latent and the last of repeated places stays: backwards, that is the largest.
        table[cell[::-1]] = values[::-1]
        if (values < 0).any():
            full = np.bincount(cell, minlength=table.size).reshape(shape) >= layout.sizes
            table = np.where(full.ravel(), table, np.maximum(table, 0))
    return table.reshape(shape)


def _compact(table: Floats) -> CodeColumns:
    """Return columns given as rows `(n_columns, n_prompts)` without their zeros, strongest first."""
    column, row = np.nonzero(table)
    values = table[column, row]
    order = np.lexsort((-values, column))
    bounds = np.concatenate([[0], np.cumsum(np.count_nonzero(table, axis=1))]).astype(np.intp)
    return CodeColumns(bounds, row[order].astype(np.int32), values[order], table.shape[1])


def _joined(parts: Sequence[CodeColumns], n_prompts: int) -> CodeColumns:
    counts = np.concatenate([np.diff(part.bounds) for part in parts])
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    rows, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "values"))
    return CodeColumns(bounds, rows, values, n_prompts)


def _tokens(
    store: ActivationStore, table: Pooled | Sparse, column: int, prompts: Sequence[int]
) -> Mapping[int, TokenRow]:
    """Return the tokens of prompts with the values of one unit."""
    key, unit = table.locate(column)
    rows = store.rows(["prompt", "position", "token", "special"])
    own, position = rows.column("prompt").to_numpy(), rows.column("position").to_numpy()
    special = rows.column("special").to_numpy(zero_copy_only=False).astype(np.bool_)
    texts = rows.column("token")
    dense = store.column(key).kind == "dense"
    values = (store.dense(key) if dense else store.codes(key)).units([unit])[:, 0]
    shown: dict[int, TokenRow] = {}
    for prompt in prompts:
        found = np.flatnonzero((own == prompt) & ~special)
        found = found[np.argsort(position[found], kind="stable")]
        shown[prompt] = TokenRow([texts[int(i)].as_py() or "" for i in found], [float(values[i]) for i in found])
    return shown
