"""Steering vectors and contrast records in the formats of interp-lab 3: read and written, torch-free.

Its layers count hidden states: 0 is the embedding, N + 1 the output of block N.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.reading import read_json
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.contracts.steering_vector import SteeringVector
from interp_lab.errors import MalformedFile

SCHEMA: Final = "interp-lab.steering_vector.v1"


class PeerVector(NamedTuple):
    """One vector as the file has it."""

    values: NDArray[np.float32]
    block: int
    """The block whose output it is added to."""
    feature: str
    claims: str
    """What the file says of its evidence: somebody else's word, not ours."""


def feature_id(block: int, criterion: str) -> str:
    """Return the name that a contrast direction has there."""
    slug = re.sub(r"[^a-z0-9]+", "-", criterion.lower()).strip("-")[:60] or "criterion"
    return f"direction:contrast:L{block + 1}:{slug}"


def peer_vector(record: SteeringVector, vector: NDArray[np.float32], block: int) -> dict[str, Any]:
    """Return a steering vector as a JSON object; its evidence is never called more than it is here."""
    validated = record.grade == "validated"
    told: dict[str, Any] = {
        "schema_version": SCHEMA,
        "model": record.model.id,
        "criterion": record.criterion,
        "feature_id": feature_id(block, record.criterion),
        "label": record.criterion,
        "layer": block + 1,
        "direction": {"kind": "vector", "values": [float(value) for value in vector], "dim": vector.size},
        "recommended_strength": None,
        "recommended_strength_source": None,
        "recommended_strength_reason": f"one unit of strength here is {record.residual_norm:g} of this direction",
        "measured_signed_effect": None,
        "signed_effect_provenance": "measured" if validated else "none",
        "provenance": "intervention" if validated else "unvalidated",
        "source": record.source,
        "tool": {"name": "interp-lab-mcp"},
    }
    if not validated:
        told["unvalidated_warning"] = record.unvalidated_warning
    return told


def contrast_records(
    record: SteeringVector,
    vector: NDArray[np.float32],
    *,
    block: int,
    prompts: Sequence[ScoredPrompt],
    coordinates: Sequence[float],
) -> Iterator[str]:
    """Yield one activation record per prompt: the coordinate along the direction, as one feature."""
    name = feature_id(block, record.criterion)
    about = {
        "feature_id": name,
        "label": record.criterion,
        "layer": block + 1,
        "layer_convention": "hidden_state_index",
        "decoder_signature": [round(float(value), 6) for value in vector],
        "direction_norm": record.raw_norm,
    }
    for place, (prompt, value) in enumerate(zip(prompts, coordinates, strict=True)):
        line: dict[str, Any] = {
            "model": record.model.id,
            "prompt_id": prompt.id or str(place),
            "text": prompt.text,
            "criterion_score": prompt.score,
            "features": {name: round(float(value), 8)},
        }
        if place == 0:
            line["feature_metadata"] = {name: about}
        yield json.dumps(line, allow_nan=False)


def read_peer_vector(path: Path) -> PeerVector:
    """Return the vector of a file.

    Raises:
        MalformedFile: It is not a steering vector of that format, or names one hidden dimension without its width.
    """
    with path.open("rb") as file:
        content = read_json(file, where=path.name)
    if not isinstance(content, dict):
        raise MalformedFile(f"{path.name} is not a JSON object.")
    told = cast("dict[str, Any]", content)
    if told.get("schema_version") != SCHEMA:
        raise MalformedFile(f"{path.name} has schema_version {str(told.get('schema_version'))[:60]!r}, not {SCHEMA!r}.")
    direction, layer = told.get("direction"), told.get("layer")
    if not isinstance(direction, dict) or not isinstance(layer, int) or layer < 1:
        raise MalformedFile(f"{path.name} lacks a direction, or a layer from 1 on.")
    try:
        values = np.asarray(cast("dict[str, Any]", direction).get("values"), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise MalformedFile(f"The direction of {path.name} is not a list of numbers.") from error
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise MalformedFile(f"The direction of {path.name} is not a finite vector.")
    return PeerVector(values, layer - 1, str(told.get("feature_id", ""))[:200], str(told.get("provenance", ""))[:40])
