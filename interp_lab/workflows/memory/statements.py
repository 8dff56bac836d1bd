"""What files of the interp-lab package of PyPI say of units: their reports and dossiers, read as statements.

They are listed beside our own claims and never among them: such a file does not say which prompts chose a unit and
which graded it, so nothing in it can move a standing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import JsonValue

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import MAX_DOCUMENT_BYTES, parse_json
from interp_lab.contracts.dossier_statements import ImportedStatement
from interp_lab.errors import MalformedFile
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import same_words

_TEXT, _NAME = 300, 120

Object = Mapping[str, JsonValue]


def imported_statements(path: str, criterion: str, settings: Settings) -> tuple[ImportedStatement, ...]:
    """Return what a report or dossier file says of units on a criterion; nothing if it is about another one.

    Raises:
        InvalidPath, PathOutsideWorkspace, FileTooLarge: see `open_input`.
        MalformedFile: It is not strict JSON, or neither a report nor a dossier.
    """
    with open_input(settings.workspace, path, read_roots=settings.read_roots, max_bytes=MAX_DOCUMENT_BYTES) as file:
        data = file.read()
    root = _object(parse_json(data, where=path))
    asked = root.get("criterion")
    words = asked if isinstance(asked, str) else _object(asked).get("text")
    if not isinstance(words, str) or not ({"cards", "runs"} & set(root)):
        raise MalformedFile(f"{path} is neither a report nor a dossier of the interp-lab package.")
    if same_words(words) != same_words(criterion):
        return ()
    digest, model = hashlib.sha256(data).hexdigest(), str(root.get("model"))[:_NAME]
    said = _of_cards(root) if "cards" in root else _of_last_run(root)
    return tuple(one.model_copy(update={"file": path, "sha256": digest, "model": model}) for one in said)


def _of_cards(root: Object) -> Iterator[ImportedStatement]:
    cards = root.get("cards")
    for card in map(_object, cards if isinstance(cards, list) else []):
        effects = _object(card.get("causal_effects"))
        count = _number(effects.get("intervention_record_count")) or 0.0
        yield _statement(
            card.get("feature_id"),
            card.get("label"),
            association=_number(effects.get("signed_association")) or _number(card.get("association")),
            effect=_number(effects.get("signed_causal_effect")) if count > 0 else None,
            n_records=int(count),
            grade=None,
        )


def _of_last_run(root: Object) -> Iterator[ImportedStatement]:
    runs = root.get("runs")
    last = _object(runs[-1] if isinstance(runs, list) and runs else None)
    standing = _object(_object(root.get("rollup")).get("features"))
    for name, raw in _object(last.get("features")).items():
        found = _object(raw)
        grade = _object(standing.get(name)).get("current_grade")
        yield _statement(
            name,
            found.get("label"),
            association=_number(found.get("association")),
            effect=_number(found.get("signed_effect")) if found.get("has_intervention_provenance") is True else None,
            n_records=int(_number(found.get("intervention_record_count")) or 0),
            grade=str(grade)[:_NAME] if isinstance(grade, str) else None,
        )


def _statement(
    unit: JsonValue,
    text: JsonValue,
    *,
    association: float | None,
    effect: float | None,
    n_records: int,
    grade: str | None,
) -> ImportedStatement:
    return ImportedStatement(
        unit=str(unit)[:_NAME],
        text=text[:_TEXT] if isinstance(text, str) else "",
        association=association,
        effect=effect,
        n_records=max(0, n_records),
        grade_there=grade,
        model="",
        file="",
        sha256="",
    )


def _object(value: JsonValue) -> Object:
    empty: Object = {}
    return cast(Object, value) if isinstance(value, dict) else empty


def _number(value: JsonValue) -> float | None:
    """Return a finite number; their files also hold words and nulls where numbers are meant."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
