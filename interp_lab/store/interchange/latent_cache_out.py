"""A column of codes as a latent cache in delphi's layout: one folder for the module, latents split over files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import ExportUnfit
from interp_lab.store.interchange.arrays_out import Place
from interp_lab.store.interchange.latent_cache import CONFIG
from interp_lab.store.interchange.prompt_rows import context_of, token_ids
from interp_lab.store.reader import ActivationStore
from interp_lab.store.tensor_file import write_tensors

N_SPLITS = 5
_LARGEST = 65_504.0
"""Largest float16, the format's only number format."""


def write_latent_cache(
    store: ActivationStore, place: Place, *, key: str, context_size: int | None = None, n_splits: int = N_SPLITS
) -> tuple[int, int]:
    """Write the cache and return the rows and sequences in it; rows behind the last whole sequence are left out.

    Raises:
        UnknownColumn: The store has no column of codes of that key.
        ExportUnfit: A row has no token id, a value is too large for float16, or prompts differ in length.
    """
    reader = store.codes(key)
    length = context_of(store, context_size)
    n_sequences = store.n_rows // length
    ids = token_ids(store)
    if ids is None:
        raise ExportUnfit("A row of the store has no token id; the format needs one for every row.")
    tokens = ids[: n_sequences * length].reshape(n_sequences, length).astype("<i8")
    n_files = min(n_splits, reader.width)
    bounds = [reader.width * file // n_files for file in range(n_files + 1)]
    for first, end in itertools.pairwise(bounds):
        found = reader.latents(first, end)
        latents = np.repeat(np.arange(end - first), np.diff(found.offsets))
        kept = found.rows < tokens.size
        cells = (latents[kept], found.rows[kept], found.values[kept])
        _write_split(place(f"{first}_{end - 1}.safetensors"), cells, tokens)
    config = {
        "dataset_repo": store.manifest.dataset.name if store.manifest.dataset else "",
        "model_name": store.manifest.model.id if store.manifest.model else "",
        "ctx_len": length,
        "n_tokens": int(tokens.size),
        "n_splits": len(bounds) - 1,
    }
    place(CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return int(tokens.size), n_sequences


def _write_split(
    path: Path, cells: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]], tokens: NDArray[np.int64]
) -> None:
    latents, rows, values = cells
    if np.abs(values).max(initial=0.0) > _LARGEST:
        raise ExportUnfit(f"A value of {np.abs(values).max():g} does not fit float16, the format's number format.")
    order = np.lexsort((latents, rows))
    sequences, positions = np.divmod(rows[order], tokens.shape[1])
    locations = np.stack([sequences, positions, latents[order]], axis=1)
    small = locations.max(initial=0) < 2**16
    tensors = {
        "locations": locations.astype("<u2" if small else "<u4"),
        "activations": values[order].astype("<f2"),
        "tokens": tokens,
    }
    write_tensors(path, tensors, {})
