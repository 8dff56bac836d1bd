"""Which shards of a half-written folder are whole, so that writing goes on after them and never trusts the rest."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue, NonNegativeInt, PositiveInt, ValidationError

from interp_lab.artifacts.canonical import readable_json
from interp_lab.artifacts.durable import write_durably
from interp_lab.artifacts.reading import parse_json
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.base import Contract
from interp_lab.contracts.store import StoreFile, StoreHeader
from interp_lab.errors import MalformedFile, StoreConflict
from interp_lab.store.names import DRAFT, MANIFEST, record_file


class WholeShard(Contract):
    """The record of a shard whose files are all there."""

    start: NonNegativeInt
    n_rows: PositiveInt
    last_prompt: int
    """Highest prompt that a row of it names; -1 where rows are not written."""
    files: dict[str, StoreFile]
    """By column; the row table under 'rows'."""


def identity_of(header: StoreHeader, shard_rows: int) -> JsonValue:
    """Return what a half-written folder is recognised by."""
    return {"header": header.model_dump(mode="json"), "shard_rows": shard_rows}


class ShardLog:
    """The whole shards in one folder, in order."""

    def __init__(self, folder: Path, identity: JsonValue) -> None:
        """Open a folder for writing; what is not part of a whole shard is removed.

        Raises:
            StoreConflict: The folder holds something else than a half-written store of this identity.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._claim(readable_json(identity))
        self.shards = self._whole_shards()
        self._remove_the_rest()

    @property
    def n_rows(self) -> int:
        """Rows in whole shards."""
        return sum(shard.n_rows for shard in self.shards)

    def commit(self, shard: WholeShard) -> None:
        """Make a shard count; its files are there already."""
        record = readable_json(shard.model_dump(mode="json"))
        write_durably(self._folder / record_file(len(self.shards)), record)
        self.shards.append(shard)

    def close(self) -> None:
        """Remove the records, once the manifest says the same."""
        (self._folder / DRAFT).unlink(missing_ok=True)
        for path in self._folder.glob("shard-*.json"):
            path.unlink()

    def _claim(self, identity: bytes) -> None:
        draft = self._folder / DRAFT
        if draft.is_file():
            if draft.read_bytes() != identity:
                raise StoreConflict(f"{str(self._folder)!r} holds a half-written store with another header.")
            return
        if any(self._folder.iterdir()):
            raise StoreConflict(f"{str(self._folder)!r} is not empty and holds no half-written store.")
        write_durably(draft, identity)

    def _whole_shards(self) -> list[WholeShard]:
        shards: list[WholeShard] = []
        while (shard := self._read(len(shards))) and shard.start == sum(before.n_rows for before in shards):
            shards.append(shard)
        return shards

    def _read(self, index: int) -> WholeShard | None:
        """A record whose files have the bytes that it names; without a sync per shard only a hash can tell."""
        try:
            data = parse_json((self._folder / record_file(index)).read_bytes())
            shard = WholeShard.model_validate(data)
            found = {key: hash_file(self._folder / file.name) for key, file in shard.files.items()}
        except (OSError, MalformedFile, ValidationError):
            return None
        return shard if found == {key: (file.sha256, file.bytes) for key, file in shard.files.items()} else None

    def _remove_the_rest(self) -> None:
        kept = {DRAFT, MANIFEST, *(record_file(index) for index in range(len(self.shards)))}
        kept |= {file.name for shard in self.shards for file in shard.files.values()}
        for path in self._folder.iterdir():
            if path.name not in kept and path.is_file():
                path.unlink()
