# pyright: standard
"""encode_store: a store and dictionaries in, a store with their latents as columns out; resumable by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from interp_lab.artifacts.workspace import is_artifact_id
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.encode_store import EncodedColumn, EncodeStoreRequest, EncodeStoreResult
from interp_lab.contracts.store import STORE_KIND, CodeColumn
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.precision import decided_matmul, matmul_precision
from interp_lab.errors import NonFiniteActivations
from interp_lab.jobs.run import Run
from interp_lab.models.load import pick_device
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.store.blocks import Block, CodeBlock
from interp_lab.store.derive import StoreExtension
from interp_lab.store.locate import publish_store
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.workflows.named_folders import dictionary_folder
from interp_lab.workflows.training.columns import store_hash
from interp_lab.workflows.training.encoding import Encoding, encodings, open_read_store

_ROWS = 2048
Suggest = Callable[[tuple[EncodedColumn, ...]], tuple[NextAction, ...]]


class _Pair(NamedTuple):
    encoding: Encoding
    dictionary: Dictionary


def encode_store(request: EncodeStoreRequest, run: Run, *, settings: Settings, suggest: Suggest) -> EncodeStoreResult:
    """Return the new columns; the derived store is published as an artifact.

    Raises:
        LabError: whatever is wrong with the store or the dictionaries, before or while it is encoded.
    """
    run.progress(0, None, "opening the store and the dictionaries")
    store = open_read_store(request, settings)
    folders = [dictionary_folder(name, settings) for name in request.dictionaries]
    device = pick_device("auto")
    run.device = str(device)
    found = encodings(store, request, folders)
    run.inputs |= {"store": store_hash(store), **{each.name: each.dictionary_id for each in found}}
    pairs = [_Pair(e, load_dictionary(f, device=str(device))) for e, f in zip(found, folders, strict=True)]
    folder = run.checkpoint_dir / "store"
    with _extension(store, request, found, folder) as extension, _same_matmul(run):
        for start, stop in _runs(store, extension.finished_rows):
            extension.add(_blocks(store, pairs, start, stop), stop - start)
            run.progress(stop, store.n_rows, "encoding", "rows")
        manifest = extension.finish()
    columns = tuple(_figures(open_store(folder), each) for each in found)
    with run.artifact(STORE_KIND, manifest.title) as files:
        publish_store(folder, files)
        files.metrics |= {"n_rows": store.n_rows}
    return _answer(store, columns, suggest(columns))


@contextmanager
def _same_matmul(run: Run) -> Iterator[None]:
    """The fast matrix path where it is exact, and the same one after an interruption."""
    with decided_matmul(run.checkpoint_dir), matmul_precision():
        yield


def _extension(
    store: ActivationStore, request: EncodeStoreRequest, found: tuple[Encoding, ...], folder: Path
) -> StoreExtension:
    columns = store.manifest.columns
    new = [
        CodeColumn(
            address=each.address,
            dictionary=each.name,
            dictionary_id=each.dictionary_id,
            width=each.n_latents,
            dtype=request.dtype,
        )
        for each in found
    ]
    return StoreExtension(
        store,
        folder,
        new,
        settings={"encoded_from": store_hash(store)},
        title=f"{store.manifest.title[:150]}, encoded",
        keep=[column.key for column in columns if column.kind == "codes" or request.keep_dense],
        share=is_artifact_id(request.store),
    )


def _runs(store: ActivationStore, start: int) -> Iterator[tuple[int, int]]:
    """Yield runs of rows from a row on; they begin anew with every shard, so that an interruption changes none."""
    for shard in store.manifest.shards:
        end = shard.start + shard.n_rows
        yield from ((first, min(first + _ROWS, end)) for first in range(shard.start, end, _ROWS) if first >= start)


def _blocks(store: ActivationStore, pairs: list[_Pair], start: int, stop: int) -> dict[str, Block]:
    found: dict[str, Block] = {}
    for encoding, dictionary in pairs:
        values = np.concatenate([store.dense(key).slice(start, stop) for key in encoding.reads], axis=1)
        found[encoding.key] = _codes(dictionary, torch.from_numpy(values).to(dictionary.device), encoding, start)
    return found


def _codes(dictionary: Dictionary, x: torch.Tensor, encoding: Encoding, start: int) -> CodeBlock:
    bad = (~x.isfinite()).any(1).nonzero()
    if len(bad):
        raise NonFiniteActivations(f"Row {start + int(bad[0])} of {encoding.reads[0]} is not finite.")
    codes = dictionary.encode_sparse(x)
    return CodeBlock(
        codes.indptr.cpu().numpy().astype(np.int64),
        codes.latents.cpu().numpy().astype(np.int32),
        codes.values.float().cpu().numpy(),
    )


def _figures(store: ActivationStore, encoding: Encoding) -> EncodedColumn:
    counts = store.codes(encoding.key).counts
    return EncodedColumn(
        key=encoding.key,
        n_latents=encoding.n_latents,
        l0=round(float(counts.sum()) / store.n_rows, 3),
        unfired_fraction=round(float((counts == 0).mean()), 5),
    )


def _answer(
    store: ActivationStore, columns: tuple[EncodedColumn, ...], actions: tuple[NextAction, ...]
) -> EncodeStoreResult:
    first = columns[0]
    return EncodeStoreResult(
        summary=(
            f"{store.n_rows:,} rows encoded by {counted(len(columns), 'dictionary', 'dictionaries')}; {first.key} has "
            f"{first.l0:.1f} active latents per row and {first.unfired_fraction:.0%} of its latents active on none."
        ),
        warnings=tuple(_warnings(columns)),
        agent_next_actions=actions,
        n_rows=store.n_rows,
        columns=columns,
    )


def _warnings(columns: tuple[EncodedColumn, ...]) -> Iterator[str]:
    yield "An active latent is a measurement of the dictionary, not evidence that the model uses it."
    for column in columns:
        if column.unfired_fraction > 0.5:
            yield f"{column.key}: {column.unfired_fraction:.0%} of its latents are active on no row of this store."
