"""What every reader of a foreign format gives, and writing it as a store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import JsonValue

from interp_lab.contracts.store import LabelField, LabelType, StoreHeader, StoreManifest
from interp_lab.errors import MalformedFile, StoreConflict
from interp_lab.store.blocks import RowBlock
from interp_lab.store.tables import label_column
from interp_lab.store.writer import SHARD_ROWS, StoreWriter

BLOCK_VALUES = 4_000_000
"""Numbers in one block: 16 MB of float32."""
BLOCK_ROWS = 8192
"""Rows in one block, at most: what is said of a row may be larger than its numbers."""
Progress = Callable[[int], object]
"""Called with the rows written so far."""


class IncomingPrompt(NamedTuple):
    """A prompt, sequence or episode that came with the rows."""

    id: str
    text: str = ""
    score: float | None = None
    group: str | None = None
    """Prompts that share it are not independent."""
    labels: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """Rows on their way into a store."""

    header: StoreHeader
    blocks: Iterable[RowBlock]
    """Every row once; to be gone through once."""
    prompts: Sequence[IncomingPrompt]
    """Complete when the blocks have run out."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column key → what the file calls it."""
    notes: tuple[str, ...] = ()
    """What a careful reader must know about the import."""


def write_store(
    incoming: Incoming,
    folder: Path,
    *,
    group: Callable[[Sequence[IncomingPrompt]], Sequence[int]],
    progress: Progress = bool,
    shard_rows: int = SHARD_ROWS,
) -> StoreManifest:
    """Return the manifest of a new store in `folder`, rows streamed; `group` says which prompts are independent.

    Raises:
        StoreConflict: The folder is not empty.
        LabError: Whatever is wrong with the file, found as it is read.
    """
    with StoreWriter(folder, incoming.header, shard_rows=shard_rows) as writer:
        if writer.finished or writer.finished_rows:
            raise StoreConflict(f"{folder.name!r} holds rows already; an import begins in an empty folder.")
        done = 0
        for block in incoming.blocks:
            writer.add(block)
            done += len(block.rows["prompt"])
            progress(done)
        return writer.finish(_prompt_columns(incoming, group(incoming.prompts)))


def block_rows(widths: Iterable[int]) -> int:
    """Return how many rows of these widths make one block."""
    return max(1, min(BLOCK_ROWS, BLOCK_VALUES // max(1, sum(widths))))


def label_type(values: Iterable[Any]) -> LabelType | None:
    """Return the type that fits every value, nulls aside, or None if they do not mix: text and numbers never do."""
    seen = [value for value in values if value is not None]
    kinds: set[type] = {type(value) for value in seen}
    if kinds == {list}:
        return "span" if all(map(is_span, seen)) else None
    if kinds <= {bool}:
        return "boolean" if kinds else "string"
    if kinds <= {int}:
        return "integer"
    if kinds <= {int, float}:
        return "number"
    return "string" if kinds <= {str} else None


def is_span(value: object) -> bool:
    """Return whether a value is a list of [start, end) pairs of characters."""
    if not isinstance(value, list):
        return False
    parts = cast("list[object]", value)
    pairs = [cast("list[object]", each) for each in parts if isinstance(each, list)]
    return len(pairs) == len(parts) and all(len(pair) == 2 and {type(end) for end in pair} == {int} for pair in pairs)


def label_fields(values: Mapping[str, Iterable[Any]], scope: Any, *, where: str) -> tuple[LabelField, ...]:
    """Return a field for every label of prompts or rows.

    Raises:
        MalformedFile: A label mixes text, numbers and truth values.
    """
    fields: list[LabelField] = []
    for name, seen in values.items():
        kind = label_type(seen)
        if kind is None:
            raise MalformedFile(f"{where} has a label {name[:80]!r} whose values are not of one type.")
        fields.append(LabelField(name=name, type=kind, scope=scope))
    return tuple(fields)


def _prompt_columns(incoming: Incoming, groups: Sequence[int]) -> dict[str, list[Any]]:
    prompts = incoming.prompts
    columns: dict[str, list[Any]] = {
        "id": [prompt.id for prompt in prompts],
        "text": [prompt.text for prompt in prompts],
        "group": list(groups),
        "score": [prompt.score for prompt in prompts],
    }
    for label in incoming.header.labels:
        if label.scope == "prompt":
            columns[label_column(label.name)] = [prompt.labels.get(label.name) for prompt in prompts]
    return columns


def plain_names(names: Iterable[str], *, where: str) -> dict[str, str]:
    """Return name → the name under which a store keeps it: letters, digits, '_', '.' and '-' only.

    Raises:
        MalformedFile: Two names become one.
    """
    kept = {name: re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100] or "_" for name in names}
    kept = {name: plain if plain[0] not in ".-" else f"_{plain[1:]}" for name, plain in kept.items()}
    if len(set(kept.values())) < len(kept):
        raise MalformedFile(f"{where} has two labels or metrics whose plain names are the same.")
    return kept


def imported_from(kind: str, name: str, sha256: str | None) -> dict[str, JsonValue]:
    """Return the settings of a store that was imported: which format, which file, and the hash of its bytes."""
    return {"imported_from": {"format": kind, "name": name, "sha256": sha256}}
