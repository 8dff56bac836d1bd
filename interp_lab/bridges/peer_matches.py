"""Pairs of units in the peer's match format, read and written.

The file is `interp-lab.match_report.v1`: pairs by name, with components in [0, 1] of which 1/2 means nothing in common.
What was not measured is marked absent and left out of the score; nothing absent counts as a half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from interp_lab.errors import InvalidMatches

SCHEMA: Final = "interp-lab.match_report.v1"
WEIGHTS: Final = {"text": 0.35, "activation": 0.25, "decoder": 0.20}
"""Weights of the components in the peer's score; measured effects are not on its scale and are left out."""
MAX_PAIRS: Final = 500


class NamedPair(NamedTuple):
    """Two units by the names that a file has for them."""

    left: str
    right: str
    left_metadata: Mapping[str, Any]
    right_metadata: Mapping[str, Any]
    """Address, unit and dictionary, where the file says them."""


class PeerMatch(NamedTuple):
    """One pair to be written; similarities in [-1, 1], None where they were not measured."""

    left: str
    right: str
    left_place: Mapping[str, Any]
    right_place: Mapping[str, Any]
    activation: float
    decoder: float | None
    text: float | None
    labels: tuple[str, str]
    effects: tuple[float, float] | None = None
    """Signed effects of interventions on the same behaviour, the right one turned by the sign of the likeness."""


def read_pairs(document: object, *, where: str, left: str, right: str) -> tuple[NamedPair, ...]:
    """Return the pairs of a match file between these two models, each once.

    Raises:
        InvalidMatches: It is no such file, is about other models, or has no pair or too many.
    """
    if not isinstance(document, dict):
        raise InvalidMatches(f"{where} is not a JSON object.")
    told = cast("dict[str, Any]", document)
    if told.get("schema_version", SCHEMA) != SCHEMA:
        raise InvalidMatches(f"{where} says {str(told.get('schema_version'))[:80]!r}, not {SCHEMA!r}.")
    for side, model in (("left", left), ("right", right)):
        there = told.get(f"{side}_model", model)
        if there != model:
            raise InvalidMatches(
                f"{where} is about {str(there)[:80]!r} on the {side}, not {model!r}.",
                remedy=f"Name the models as the file does, {str(there)[:80]!r} on the {side}.",
            )
    rows = told.get("matches")
    if not isinstance(rows, list) or not rows:
        raise InvalidMatches(f"{where} has no matches.")
    pairs = tuple(dict.fromkeys(_key(row, i, where) for i, row in enumerate(cast("list[Any]", rows))))
    if len(pairs) > MAX_PAIRS:
        raise InvalidMatches(f"{where} has {len(pairs)} pairs; at most {MAX_PAIRS} are tested at once.")
    said = {_key(row, i, where): cast("dict[str, Any]", row) for i, row in enumerate(cast("list[Any]", rows))}
    return tuple(
        NamedPair(one, two, _object(said[one, two].get("left_place")), _object(said[one, two].get("right_place")))
        for one, two in pairs
    )


def match_report(left: str, right: str, created_at: str, matches: Sequence[PeerMatch]) -> dict[str, Any]:
    """Return a match report that the peer reads; places in full stand beside the names."""
    return {
        "schema_version": SCHEMA,
        "left_model": left,
        "right_model": right,
        "created_at": created_at,
        "matches": [_row(match, left, right) for match in matches],
    }


def _row(match: PeerMatch, left: str, right: str) -> dict[str, Any]:
    given = {"text": match.text, "activation": match.activation, "decoder": match.decoder}
    present = {name: (value + 1) / 2 for name, value in given.items() if value is not None}
    score = sum(WEIGHTS[name] * value for name, value in present.items()) / sum(WEIGHTS[name] for name in present)
    intervened = {} if match.effects is None else {"signed_effect_provenance_intervention": 1.0}
    left_effect, right_effect = match.effects or (None, None)
    absent = {f"{name}_absent": 1.0 for name in (*WEIGHTS, "causal") if name not in present}
    return {
        "left_feature_id": match.left,
        "right_feature_id": match.right,
        "left_model": left,
        "right_model": right,
        "score": round(score, 6),
        "components": {name: round(value, 6) for name, value in present.items()} | absent | intervened,
        "left_label": match.labels[0],
        "right_label": match.labels[1],
        "left_signed_effect": left_effect,
        "right_signed_effect": right_effect,
        "left_place": dict(match.left_place),
        "right_place": dict(match.right_place),
    }


def _key(row: object, number: int, where: str) -> tuple[str, str]:
    told = _object(row)
    names = told.get("left_feature_id"), told.get("right_feature_id")
    if not all(isinstance(name, str) and 0 < len(name) <= 300 for name in names):
        raise InvalidMatches(f"Match {number} of {where} names no pair.")
    return cast("tuple[str, str]", names)


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
