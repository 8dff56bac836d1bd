"""Shards that were written apart, put together as one writer would have written them: the same files, renumbered."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from interp_lab.artifacts.canonical import readable_json
from interp_lab.artifacts.durable import disk_full_as_error, write_durably
from interp_lab.artifacts.reading import parse_json
from interp_lab.contracts.store import StoreFile, StoreHeader
from interp_lab.store.names import DRAFT, MANIFEST, record_file, shard_file
from interp_lab.store.shard_log import WholeShard, identity_of


def hand_over(source: Path, target: Path) -> None:
    """Put every whole shard of a half-written folder, with its record, into another folder; nothing is copied twice."""
    for record in sorted(source.glob("shard-*.json")):
        for file in _read(record).files.values():
            link(source / file.name, target / file.name)
        link(record, target / record.name)


def join_shards(folder: Path, header: StoreHeader, *, shard_rows: int, parts: Sequence[Path]) -> None:
    """Make `folder` the half-written store that holds the shards of all parts, in order; repeatable.

    A writer that opens it then checks the hash of every file before it counts.

    Raises:
        DiskFull: There is no space.
    """
    if (folder / MANIFEST).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with disk_full_as_error(folder):
        write_durably(folder / DRAFT, readable_json(identity_of(header, shard_rows)))
        start = 0
        for index, (part, shard) in enumerate(_shards(parts)):
            files: dict[str, StoreFile] = {}
            for key, file in shard.files.items():
                name = shard_file(key, index)
                link(part / file.name, folder / name)
                files[key] = file.model_copy(update={"name": name})
            moved = shard.model_copy(update={"start": start, "files": files})
            write_durably(folder / record_file(index), readable_json(moved.model_dump(mode="json")))
            start += shard.n_rows


def _shards(parts: Sequence[Path]) -> Iterator[tuple[Path, WholeShard]]:
    for part in parts:
        for record in sorted(part.glob("shard-*.json")):
            yield part, _read(record)


def _read(record: Path) -> WholeShard:
    return WholeShard.model_validate(parse_json(record.read_bytes()))


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links; replaces what was there."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
