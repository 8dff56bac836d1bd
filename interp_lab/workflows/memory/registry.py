"""Hypotheses registered in a workspace: one file, append-only, every record hashed over the one before it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.durable import disk_full_as_error, fsync_directory
from interp_lab.artifacts.locks import hold_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.hypotheses import HypothesisRecord
from interp_lab.errors import RegistryBroken, UnknownHypothesis
from interp_lab.settings import Settings

FILE = "hypotheses.jsonl"
_LOCK = "hypotheses.lock"


def read_registry(settings: Settings) -> tuple[HypothesisRecord, ...]:
    """Return every record, oldest first.

    Raises:
        RegistryBroken: A record was changed, removed or put in between.
    """
    return _parsed(_whole_lines(_path(settings)))


def find_hypothesis(hypothesis_id: str, settings: Settings) -> HypothesisRecord:
    """Return the record of that id.

    Raises:
        UnknownHypothesis: There is none.
        RegistryBroken: see `read_registry`.
    """
    found = next((record for record in read_registry(settings) if record.id == hypothesis_id), None)
    if found is None:
        raise UnknownHypothesis(f"No hypothesis {hypothesis_id[:16]} was registered in this workspace.")
    return found


def append(fields: dict[str, Any], settings: Settings) -> HypothesisRecord:
    """Return the record that was written; `fields` are those of the record but id, previous and time.

    Equal words about an equal run are registered once: the record there is comes back.

    Raises:
        RegistryBroken: see `read_registry`.
        DiskFull: There was no space; nothing was registered.
    """
    path = _path(settings)
    with hold_lock(WorkspacePaths.of(settings).catalog_dir / _LOCK, shared=False):
        lines = _whole_lines(path)
        known = _parsed(lines)
        for record in known:
            if record.model_dump(mode="json", include=set(fields)) == _as_json(fields):
                return record
        record = _sealed(fields, known[-1].id if known else None)
        _write(path, lines, canonical_json(record.model_dump(mode="json")) + b"\n")
    return record


def _as_json(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.model_dump(mode="json") if hasattr(value, "model_dump") else value for name, value in fields.items()
    }


def _sealed(fields: dict[str, Any], previous: str | None) -> HypothesisRecord:
    body = _as_json(fields) | {
        "schema_version": "1",
        "previous": previous,
        "registered_at": datetime.now(UTC).isoformat(),
    }
    draft = HypothesisRecord.model_validate_json(json.dumps(body | {"id": "0" * 64}))
    return draft.model_copy(update={"id": _hash(draft)})


def _hash(record: HypothesisRecord) -> str:
    return sha256_hex(canonical_json(record.model_dump(mode="json", exclude={"id"})))


def _write(path: Path, lines: list[bytes], line: bytes) -> None:
    """Add a line after the last whole one: a half line is of a process that died before it answered."""
    with disk_full_as_error(path.parent, len(line)):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = sum(len(kept) + 1 for kept in lines)
            os.ftruncate(fd, end)
            written = os.pwrite(fd, line, end)
            if written != len(line):
                os.ftruncate(fd, end)
            os.fsync(fd)
        finally:
            os.close(fd)
    fsync_directory(path.parent)
    if written != len(line):
        raise RegistryBroken("The record could not be written whole; nothing was registered.")


def _whole_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return data.split(b"\n")[:-1]


def _parsed(lines: list[bytes]) -> tuple[HypothesisRecord, ...]:
    records: list[HypothesisRecord] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = HypothesisRecord.model_validate_json(line)
        except ValidationError as error:
            raise RegistryBroken(f"Line {number} of {FILE} is not a record that this version reads.") from error
        if record.previous != (records[-1].id if records else None) or _is_changed(record, line):
            raise RegistryBroken(f"Line {number} of {FILE} is not what was written there.")
        records.append(record)
    return tuple(records)


def _is_changed(record: HypothesisRecord, line: bytes) -> bool:
    """Whether the line does not hash to its id; taken from the line itself, which a later version may read wider."""
    body: dict[str, Any] = json.loads(line)
    body.pop("id")
    return sha256_hex(canonical_json(body)) != record.id


def _path(settings: Settings) -> Path:
    return WorkspacePaths.of(settings).root / FILE
