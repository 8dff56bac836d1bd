"""Writing a store row by row: shards appear whole or not at all, and the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from interp_lab.artifacts.durable import disk_full_as_error
from interp_lab.contracts.store import MAX_SHARD_ROWS, Shard, StoreHeader, StoreManifest
from interp_lab.errors import StateError, StoreConflict, UnfitRows
from interp_lab.store.arrow import table_writer
from interp_lab.store.blocks import RowBlock
from interp_lab.store.columns_writing import ShardStream
from interp_lab.store.manifest import read_manifest, write_manifest
from interp_lab.store.names import MANIFEST, PROMPTS, ROWS
from interp_lab.store.postings import build_postings
from interp_lab.store.shard_log import ShardLog, WholeShard, identity_of
from interp_lab.store.shard_writing import TEMPORARY, seal_file
from interp_lab.store.tables import Values, prompt_schema, prompt_table, row_schema, row_table

SHARD_ROWS = 65_536


class StoreWriter:
    """A store being written; leaving the context early keeps the whole shards, and a new writer goes on after them."""

    def __init__(self, folder: Path, header: StoreHeader, *, shard_rows: int = SHARD_ROWS) -> None:
        """Begin in an empty folder, or go on in one that was begun with the same header and shard size.

        Raises:
            StoreConflict: The folder holds anything else.
        """
        if not 1 <= shard_rows <= MAX_SHARD_ROWS:
            raise UnfitRows(f"A shard has 1 to {MAX_SHARD_ROWS} rows, not {shard_rows}.")
        self.folder = folder
        self._header = header
        self._shard_rows = shard_rows
        self._schema = row_schema(header)
        self._manifest = self._already_finished()
        self._stream: ShardStream | None = None
        if self._manifest is None:
            self._log = ShardLog(folder, identity_of(header, shard_rows))
            self._stream = ShardStream(folder, self._log, header.columns, shard_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.discard()

    @property
    def finished_rows(self) -> int:
        """Rows that are on disk for good; go on with the row of this number."""
        return self._manifest.n_rows if self._manifest else self._log.n_rows

    @property
    def finished(self) -> bool:
        """Whether the store is complete, by this writer or by one before it."""
        return self._manifest is not None

    def add(self, block: RowBlock) -> None:
        """Append rows; a block that is refused leaves nothing behind.

        Raises:
            UnfitRows: The block does not fit the header.
            NonFiniteActivations: A value is NaN or infinite; column, prompt and position are named.
            ValueOverflow: A value is too large for the number format of its column.
            StateError: The store is finished.
            DiskFull: There is no space.
        """
        stream = self._open_stream()
        n_rows = len(block.rows.get("prompt", ()))
        if n_rows == 0:
            return
        table = row_table(self._schema, block.rows, n_rows)

        def place(row: int) -> str:
            return f"prompt {table.column('prompt')[row]}, position {table.column('position')[row]}"

        with disk_full_as_error(self.folder):
            stream.add(table, block.columns, n_rows, place)

    def seal_rows(self) -> None:
        """Make the rows so far whole shards, the last one as short as it is, without ending the store.

        Raises:
            DiskFull: There is no space.
        """
        if self._stream is not None:
            with disk_full_as_error(self.folder):
                self._stream.seal()

    def finish(self, prompts: Mapping[str, Values]) -> StoreManifest:
        """Write what is left and the manifest, and return it; a store that is finished already is returned as it is.

        `prompts` has the columns `id`, `text`, `group` and, as they apply, `score`, `pair`, `subtype`, `split` and
        the labels that the header declares for prompts.

        Raises:
            UnfitRows: There are no rows, or rows name prompts that are not in the table.
            DiskFull: There is no space.
        """
        return self.finish_in_parts([prompts])

    def finish_in_parts(self, prompts: Iterable[Mapping[str, Values]]) -> StoreManifest:
        """Do as `finish` with a prompt table that comes some rows at a time and is never held whole."""
        if self._manifest is None:
            with disk_full_as_error(self.folder):
                self._open_stream().seal()
                self._manifest = self._complete(prompts)
        return self._manifest

    def _complete(self, prompts: Iterable[Mapping[str, Values]]) -> StoreManifest:
        shards = self._log.shards
        temporary = self.folder / (PROMPTS + TEMPORARY)
        n_prompts, groups = 0, set[int]()
        with table_writer(temporary, schema := prompt_schema(self._header)) as add:
            for part in prompts:
                table = prompt_table(schema, part, first=n_prompts)
                add(table)
                n_prompts += table.num_rows
                groups.update(table.column("group").unique().to_pylist())
        _require_prompts(shards, n_prompts)
        codes = [column for column in self._header.columns if column.kind == "codes"]
        manifest = StoreManifest(
            **self._header.model_dump(),
            shard_rows=self._shard_rows,
            n_rows=self._log.n_rows,
            n_prompts=n_prompts,
            n_groups=len(groups),
            prompts=seal_file(temporary),
            shards=tuple(as_shard(shard) for shard in shards),
            postings={column.key: build_postings(self.folder, column, shards) for column in codes},
        )
        write_manifest(self.folder, manifest)
        self._log.close()
        return manifest

    def _open_stream(self) -> ShardStream:
        if self._stream is None or self._manifest is not None:
            raise StateError("The store is finished; no rows can be added.", remedy="Write a new store.")
        return self._stream

    def _already_finished(self) -> StoreManifest | None:
        if not (self.folder / MANIFEST).is_file():
            return None
        manifest = read_manifest(self.folder)
        header = StoreHeader.model_validate(manifest.model_dump(include=set(StoreHeader.model_fields)))
        if header != self._header or manifest.shard_rows != self._shard_rows:
            raise StoreConflict(f"{str(self.folder)!r} holds a finished store with another header.")
        return manifest


def as_shard(shard: WholeShard) -> Shard:
    """Return a shard as the manifest lists it."""
    columns = {key: file for key, file in shard.files.items() if key != ROWS}
    return Shard(start=shard.start, n_rows=shard.n_rows, rows=shard.files[ROWS], columns=columns)


def _require_prompts(shards: list[WholeShard], n_prompts: int) -> None:
    if not shards:
        raise UnfitRows("The store has no rows.")
    last = max(shard.last_prompt for shard in shards)
    if last >= n_prompts:
        raise UnfitRows(f"A row is of prompt {last}, but the prompt table has {n_prompts} rows.")
