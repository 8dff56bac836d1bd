"""A full check of a store: every byte hashed, every file opened as what the manifest says it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.store import StoreFile
from interp_lab.errors import StoreCorrupt
from interp_lab.store.reader import ActivationStore, open_store


def verify(folder: Path) -> tuple[str, ...]:
    """Return what is wrong with the store in a folder, one sentence each; nothing if it is as it was written.

    Raises:
        NotAStore, StoreUnfinished, StoreCorrupt, StoreTooNew: The manifest itself cannot be used.
    """
    return verify_store(open_store(folder))


def verify_store(store: ActivationStore) -> tuple[str, ...]:
    """Return what is wrong with the files of an open store; see `verify`."""
    broken = tuple(problem for file in store.manifest.files if (problem := _changed(store, file)))
    return broken or tuple(_misfits(store))


def _changed(store: ActivationStore, file: StoreFile) -> str | None:
    try:
        found = hash_file(store.path_of(file.name))
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}."
    return None if found == (file.sha256, file.bytes) else f"{file.name} does not have the bytes that were written."


def _misfits(store: ActivationStore) -> Iterator[str]:
    """What the manifest says of files whose bytes are as written, and is not so."""
    try:
        if (n := store.prompts().num_rows) != store.manifest.n_prompts:
            yield f"{store.manifest.prompts.name} has {n} prompts, not {store.manifest.n_prompts}."
        store.rows(["prompt"])
        for column in store.manifest.columns:
            if column.kind == "dense":
                store.dense(column.key).map_all()
            else:
                store.codes(column.key).map_all()
    except StoreCorrupt as error:
        yield error.what
