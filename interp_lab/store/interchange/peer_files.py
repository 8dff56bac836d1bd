"""Reading any file of the interp-lab package of PyPI, also those that its own commands refuse.

Its reports hold words and nulls where its format has numbers; such places are named and the rest is read. A NaN, a
repeated key or a document of another schema is refused, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from pydantic import JsonValue

from interp_lab.artifacts.reading import MAX_DOCUMENT_BYTES, parse_json
from interp_lab.errors import FileTooLarge, MalformedFile
from interp_lab.store.interchange.lines import numbered_objects
from interp_lab.store.interchange.peer_kinds import DOCUMENTS, LINES, PREFIX, Kind

NAMED: Final = 20
"""Places that are named; of more, their number."""
_TEXT = 160

Object = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One row: what names it, and what it says."""

    name: str
    says: Mapping[str, str | float | bool | None]


@dataclass(frozen=True, slots=True)
class PeerFile:
    """What a file is and holds; everything in it is untrusted."""

    kind: Kind
    model: str | None
    criterion: str | None
    n_rows: int
    rows: tuple[PeerRow, ...]
    """The first."""
    odd: tuple[str, ...] = ()
    """Places where it holds a word or a null and its own format a number: its own commands stop there."""
    n_odd: int = 0
    facts: Mapping[str, str | float | bool | None] = field(default_factory=dict[str, str | float | bool | None])
    """What the document says of itself in single values."""


def read_peer_file(file: BinaryIO, *, where: str, limit: int) -> PeerFile:
    """Return what a file is and its first `limit` rows.

    Raises:
        MalformedFile: It is not strict JSON or JSON Lines, of no known kind, or lacks a field of its kind.
        FileTooLarge: A document has more than 64 MB, or a line has.
    """
    head = file.read(MAX_DOCUMENT_BYTES + 1)
    document = _whole(head, where)
    if document is None:
        return _lines(file, where, limit)
    if len(head) > MAX_DOCUMENT_BYTES:
        raise FileTooLarge(f"{where} has more than {MAX_DOCUMENT_BYTES} bytes.")
    kind = _kind(document, DOCUMENTS)
    if kind is None and _kind(document, LINES) is not None:
        return _lines(file, where, limit)
    if kind is None:
        raise MalformedFile(f"{where} is of no kind that the interp-lab package writes: {_seen(document)}.")
    return _document(document, kind, where, limit)


def _whole(head: bytes, where: str) -> Object | None:
    """Return the document that a file is, or None for lines: several objects one after another."""
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)
    if len(first) == 2 and first[0].rstrip().endswith(b"}") and first[1].strip():
        return None
    value = parse_json(head, where=where)
    if not isinstance(value, dict):
        raise MalformedFile(f"{where} is JSON but no object.")
    return cast(Object, value)


def _kind(value: Object, kinds: tuple[Kind, ...]) -> Kind | None:
    said = next((value[name] for name in ("schema_version", "format") if isinstance(value.get(name), str)), None)
    schema = str(said).removeprefix(PREFIX) if said is not None else None
    if schema is not None:
        return next((kind for kind in kinds if kind.schema == schema and set(kind.needs) <= set(value)), None)
    told = [kind for kind in kinds if kind.needs and set(kind.needs) <= set(value)]
    # versions before 3 left schemas out: the kind that asks most of a file is the one it is
    return max(told, key=lambda kind: (len(kind.needs), kind.schema is None), default=None)


def _seen(value: Object) -> str:
    said = value.get("schema_version", value.get("format"))
    return f"schema {str(said)[:60]!r}" if said is not None else f"fields {', '.join(sorted(value))[:200]}"


def _document(value: Object, kind: Kind, where: str, limit: int) -> PeerFile:
    found = _rows(value, kind, where)
    odd = list(_odd(value))
    return PeerFile(
        kind=kind,
        model=_model(value),
        criterion=_criterion(value),
        n_rows=len(found),
        rows=tuple(_row(name, row, kind) for name, row in found[:limit]),
        odd=tuple(odd[:NAMED]),
        n_odd=len(odd),
        facts={name: _plain(one) for name, one in value.items() if isinstance(one, str | int | float | bool)},
    )


def _rows(value: Object, kind: Kind, where: str) -> list[tuple[str, Object]]:
    if not kind.rows:
        return []
    found: JsonValue = cast(JsonValue, value)
    for step in kind.rows.split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, dict):
        return [(name, _object(row)) for name, row in found.items()]
    if found is None and kind.rows not in kind.needs:
        return []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise MalformedFile(f"{where}, {kind.rows}, is no list of objects.")
    return [("", _object(row)) for row in found]


def _lines(file: BinaryIO, where: str, limit: int) -> PeerFile:
    kind: Kind | None = None
    n, rows, first = 0, list[PeerRow](), cast(Object, {})
    models: dict[str, None] = {}
    criteria: dict[str, None] = {}
    for number, value in numbered_objects(file, where=where):
        kind = kind or _kind(value, LINES)
        if kind is None:
            raise MalformedFile(
                f"{where}, line {number}, is of no kind that the interp-lab package writes: {_seen(value)}."
            )
        if missing := sorted(set(kind.needs) - set(value)):
            raise MalformedFile(f"{where}, line {number}, is not one of {kind.name}: it lacks {', '.join(missing)}.")
        n, first = n + 1, first or value
        models[str(value.get("model"))[:_TEXT]] = criteria[str(value.get("criterion"))[:_TEXT]] = None
        if len(rows) < limit:
            rows.append(_row("", value, kind))
    if kind is None:
        raise MalformedFile(f"{where} has no line.")
    return PeerFile(
        kind=kind,
        model=_model(first) if len(models) == 1 else f"{len(models)} models",
        criterion=_criterion(first) if len(criteria) == 1 else f"{len(criteria)} criteria",
        n_rows=n,
        rows=tuple(rows),
    )


def _row(name: str, row: Object, kind: Kind) -> PeerRow:
    names = [name, *(str(row[one]) for one in kind.names if row.get(one) not in (None, ""))]
    says = {path.rpartition("/")[2]: _plain(one) for path in kind.says if (one := _at(row, path)) is not None}
    return PeerRow(" · ".join(each for each in names if each)[:_TEXT], says)


def _at(row: Object, path: str) -> JsonValue:
    value: JsonValue = cast(JsonValue, row)
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _odd(value: Object) -> Iterator[str]:
    """Yield places of cards where a number is meant and something else stands: the peer reads them with float()."""
    cards = value.get("cards")
    for place, card in enumerate(cards if isinstance(cards, list) else []):
        for name, number in _object(_object(card).get("causal_effects")).items():
            if not isinstance(number, int | float):
                yield f"/cards/{place}/causal_effects/{name}"


def _model(value: Object) -> str | None:
    model = value.get("model", value.get("left_model"))
    return model[:_TEXT] if isinstance(model, str) else None


def _criterion(value: Object) -> str | None:
    asked = value.get("criterion")
    words = asked if isinstance(asked, str) else _object(asked).get("text")
    return words[:500] if isinstance(words, str) else None


def _object(value: JsonValue) -> Object:
    empty: dict[str, Any] = {}
    return cast(Object, value) if isinstance(value, dict) else empty


def _plain(value: JsonValue) -> str | float | bool | None:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return str(value)[:_TEXT]
