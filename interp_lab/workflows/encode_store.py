# pyright: standard
"""encode_store: a store and dictionaries in, a store with their latents as columns out; resumable by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.encode_store import EncodedColumn, EncodeStoreRequest, EncodeStoreResult
from interp_lab.contracts.store import STORE_KIND, CodeColumn, StoreHeader
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.precision import matmul_precision
from interp_lab.errors import NonFiniteActivations
from interp_lab.jobs.run import Run
from interp_lab.models.load import pick_device
from interp_lab.settings import Settings
from interp_lab.store.blocks import Block, CodeBlock, RowBlock
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.named_folders import dictionary_folder, store_folder
from interp_lab.workflows.training.columns import store_hash
from interp_lab.workflows.training.encoding import Encoding, encodings

_ROWS = 2048
_SHARD_ROWS = 65_536
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
    store = open_store(store_folder(request.store, settings))
    folders = [dictionary_folder(name, settings) for name in request.dictionaries]
    device = pick_device("auto")
    run.device = str(device)
    found = encodings(store, request, folders)
    run.inputs |= {"store": store_hash(store), **{each.name: each.dictionary_id for each in found}}
    pairs = [_Pair(e, load_dictionary(f, device=str(device))) for e, f in zip(found, folders, strict=True)]
    header = _header(store, request, found)
    folder = run.checkpoint_dir / "store"
    with StoreWriter(folder, header, shard_rows=_SHARD_ROWS) as writer, matmul_precision():
        if not writer.finished:
            for start in range(writer.finished_rows, store.n_rows, _ROWS):
                stop = min(start + _ROWS, store.n_rows)
                writer.add(RowBlock(_rows(store, start, stop), _blocks(store, request, pairs, (start, stop))))
                run.progress(stop, store.n_rows, "encoding", "rows")
        writer.finish(_table(store.prompts()))
    columns = tuple(_figures(open_store(folder), each) for each in found)
    with run.artifact(STORE_KIND, header.title) as files:
        for path in sorted(folder.iterdir()):
            files.path(path.name).write_bytes(path.read_bytes())
        files.metrics |= {"n_rows": store.n_rows}
    return _answer(store, columns, suggest(columns))


def _header(store: ActivationStore, request: EncodeStoreRequest, found: tuple[Encoding, ...]) -> StoreHeader:
    header = StoreHeader.model_validate(store.manifest.model_dump(include=set(StoreHeader.model_fields)))
    kept = tuple(column for column in header.columns if column.kind == "codes" or request.keep_dense)
    new = tuple(
        CodeColumn(
            address=each.address,
            dictionary=each.name,
            dictionary_id=each.dictionary_id,
            width=each.n_latents,
            dtype=request.dtype,
        )
        for each in found
    )
    settings = header.settings | {"encoded_from": store_hash(store)}
    title = f"{header.title[:150]}, encoded"
    return header.model_copy(update={"columns": (*kept, *new), "settings": settings, "title": title})


def _rows(store: ActivationStore, start: int, stop: int) -> dict[str, Any]:
    return _table(store.rows(start=start, stop=stop))


def _table(table: Any) -> dict[str, Any]:
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _blocks(
    store: ActivationStore, request: EncodeStoreRequest, pairs: list[_Pair], rows: tuple[int, int]
) -> dict[str, Block]:
    start, stop = rows
    found: dict[str, Block] = {
        column.key: store.codes(column.key).row_block(start, stop)
        for column in store.manifest.columns
        if column.kind == "codes"
    }
    if request.keep_dense:
        dense = [column.key for column in store.manifest.columns if column.kind == "dense"]
        found |= {key: store.dense(key).slice(start, stop) for key in dense}
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
            f"{store.n_rows:,} rows encoded by {len(columns)} dictionaries; {first.key} has {first.l0:.1f} active "
            f"latents per row and {first.unfired_fraction:.0%} of its latents active on none."
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
