"""A direction that was saved: one vector of activations and what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.mapped_matrix import map_matrices
from interp_lab.artifacts.reading import read_json
from interp_lab.contracts.features import DirectionSearch
from interp_lab.errors import InvalidRequest, UnknownUnit
from interp_lab.settings import Settings
from interp_lab.workflows.named_folders import named_folder

DIRECTION_KIND: Final = "direction"
_TENSORS, _RECORD = "direction.safetensors", "direction.json"


class SavedDirection(NamedTuple):
    """One direction."""

    vector: NDArray[np.float32]
    address: str | None
    """Where it lives, if its record says so."""


def read_direction(by: DirectionSearch, settings: Settings) -> SavedDirection:
    """Return the direction that a search names.

    Raises:
        InvalidRequest: The artifact or folder does not hold one.
        UnknownUnit: It has no output of that number.
        LabError: as `resolve_input`, `ArtifactStore.open` and `map_matrices`.
    """
    folder = named_folder(by.direction, DIRECTION_KIND, settings, refusal=InvalidRequest)
    if not (folder / _TENSORS).is_file():
        raise InvalidRequest(f"{by.direction[:80]} holds no {_TENSORS}.", remedy="train_probe publishes directions.")
    tensor = map_matrices(folder / _TENSORS).get(by.tensor)
    if tensor is None:
        raise InvalidRequest(f"{by.direction[:80]} has no tensor {by.tensor!r}.", remedy="Choose the other tensor.")
    table = np.atleast_2d(tensor.read())
    if by.output >= len(table):
        raise UnknownUnit(f"The direction has outputs 0 to {len(table) - 1}, not {by.output}.")
    return SavedDirection(table[by.output], _address(folder / _RECORD))


def _address(record: Path) -> str | None:
    if not record.is_file():
        return None
    with record.open("rb") as file:
        content = read_json(file, where=record.name)
    told = cast("dict[str, Any]", content).get("address") if isinstance(content, dict) else None
    return told if isinstance(told, str) else None
