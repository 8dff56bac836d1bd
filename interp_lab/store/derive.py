"""A new store from an old one and more columns: old files are shared or copied, never read or written again."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.durable import disk_full_as_error
from interp_lab.contracts.store import CodeColumn, DenseColumn, Shard, StoreFile, StoreManifest
from interp_lab.errors import StateError, StoreConflict, UnfitRows
from interp_lab.store.blocks import Block
from interp_lab.store.columns_writing import ShardStream
from interp_lab.store.locate import link_or_copy
from interp_lab.store.manifest import read_manifest, write_manifest
from interp_lab.store.names import MANIFEST
from interp_lab.store.postings import build_postings
from interp_lab.store.reader import ActivationStore
from interp_lab.store.shard_log import ShardLog, WholeShard


class StoreExtension:
    """Columns being added to a finished store, in a folder of their own; resumable like a `StoreWriter`."""

    def __init__(
        self,
        store: ActivationStore,
        folder: Path,
        columns: Sequence[DenseColumn | CodeColumn],
        *,
        settings: Mapping[str, JsonValue] | None = None,
        title: str | None = None,
        keep: Collection[str] | None = None,
        share: bool = True,
    ) -> None:
        """Begin in an empty folder, or go on in one that was begun with the same store and columns.

        `keep` names the old columns that the new store has too, all by default. Files that others may write to in
        place are not to be shared; `share` says that these never change.

        Raises:
            StoreConflict: The folder holds anything else.
            UnfitRows: No column is added, or the store has one of that name already.
        """
        if not columns or any(column.key in store.keys for column in columns):
            raise UnfitRows(f"New columns are needed; the store has {', '.join(store.keys)[:600]}.")
        self.folder = folder
        self._store = store
        self._columns = tuple(columns)
        self._kept = tuple(column for column in store.manifest.columns if keep is None or column.key in keep)
        self._settings = dict(settings or {})
        self._title = store.manifest.title if title is None else title
        self._share = share
        self._manifest = self._already_finished()
        self._stream: ShardStream | None = None
        if self._manifest is None:
            self._log = ShardLog(folder, self._identity())
            self._stream = ShardStream(folder, self._log, self._columns, store.manifest.shard_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.discard()

    @property
    def finished_rows(self) -> int:
        """Rows whose new columns are on disk for good; go on with the row of this number."""
        return self._manifest.n_rows if self._manifest else self._log.n_rows

    def add(self, blocks: Mapping[str, Block], n_rows: int) -> None:
        """Append the new columns of the next rows; a block that is refused leaves nothing behind.

        Raises:
            UnfitRows: The blocks are not those of the new columns, or there are more rows than in the store.
            NonFiniteActivations, ValueOverflow: see `StoreWriter.add`.
            StateError: The new store is finished.
        """
        if self._stream is None or self._manifest is not None:
            raise StateError("The store is finished; nothing can be added.", remedy="Derive another store from it.")
        first = self._stream.n_rows
        if first + n_rows > self._store.n_rows:
            raise UnfitRows(f"The store has {self._store.n_rows} rows; {first + n_rows} came.")
        with disk_full_as_error(self.folder):
            self._stream.add(None, blocks, n_rows, lambda row: self._place(first + row))

    def finish(self) -> StoreManifest:
        """Share the old files, write the manifest of the new store and return it.

        Raises:
            UnfitRows: Not every row of the store got its new columns.
            DiskFull: There is no space.
        """
        if self._manifest is None and self._stream is not None:
            if self._stream.n_rows != self._store.n_rows:
                raise UnfitRows(f"{self._stream.n_rows} of {self._store.n_rows} rows have their new columns.")
            with disk_full_as_error(self.folder):
                self._stream.seal()
                self._manifest = self._complete()
        assert self._manifest is not None
        return self._manifest

    def _complete(self) -> StoreManifest:
        old = self._store.manifest
        for file in self._kept_files():
            target = self.folder / file.name
            target.unlink(missing_ok=True)
            (link_or_copy if self._share else shutil.copyfile)(self._store.path_of(file.name), target)
        codes = [column for column in self._columns if column.kind == "codes"]
        built = {column.key: build_postings(self.folder, column, self._log.shards) for column in codes}
        kept = {column.key for column in self._kept}
        shards = [_changed(shard, new, kept) for shard, new in zip(old.shards, self._log.shards, strict=True)]
        changed = {
            "title": self._title,
            "columns": (*self._kept, *self._columns),
            "settings": {**old.settings, **self._settings},
            "shards": tuple(shards),
            "postings": {key: parts for key, parts in old.postings.items() if key in kept} | built,
        }
        manifest = StoreManifest.model_validate({**dict(old), **changed})
        write_manifest(self.folder, manifest)
        self._log.close()
        return manifest

    def _kept_files(self) -> tuple[StoreFile, ...]:
        old = self._store.manifest
        keys = [column.key for column in self._kept]
        shards = [file for shard in old.shards for file in (shard.rows, *(shard.columns[key] for key in keys))]
        return (old.prompts, *shards, *(part.file for key in keys for part in old.postings.get(key, ())))

    def _place(self, row: int) -> str:
        table = self._store.rows(["prompt", "position"], start=row, stop=row + 1)
        return f"prompt {table.column('prompt')[0]}, position {table.column('position')[0]}"

    def _identity(self) -> JsonValue:
        return {
            "store": sha256_hex(canonical_json(self._store.manifest.model_dump(mode="json"))),
            "columns": [column.model_dump(mode="json") for column in self._columns],
            "kept": [column.key for column in self._kept],
            "settings": self._settings,
            "title": self._title,
        }

    def _already_finished(self) -> StoreManifest | None:
        if not (self.folder / MANIFEST).is_file():
            return None
        manifest = read_manifest(self.folder)
        old = self._store.manifest
        same = manifest.columns == (*self._kept, *self._columns) and manifest.prompts == old.prompts
        rows = [shard.rows for shard in manifest.shards]
        if (
            not same
            or rows != [shard.rows for shard in old.shards]
            or {**manifest.settings, **self._settings} != manifest.settings
        ):
            raise StoreConflict(f"{str(self.folder)!r} holds another finished store.")
        return manifest


def _changed(shard: Shard, new: WholeShard, kept: Collection[str]) -> Shard:
    old = {key: file for key, file in shard.columns.items() if key in kept}
    return shard.model_copy(update={"columns": old | new.files})
