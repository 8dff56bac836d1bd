"""Directions that an inspection learned, read back from its report's artifact. Torch-free, so plans use it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.inspect_evidence import LearnedMethod
from interp_lab.contracts.learned_directions import RECORD, TENSORS, LearnedDirection, LearnedDirections
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_BYTES = 64 * 2**20


class KeptDirection(NamedTuple):
    """One direction of a report."""

    record: LearnedDirection
    vector: NDArray[np.float32]
    """Of length 1."""


def is_learned(address: str) -> bool:
    """Return whether the address of a report's row is that of learned directions."""
    _, slash, rest = address.partition("/")
    method, dash, _ = rest.rpartition("-")
    return bool(slash and dash) and method in get_args(LearnedMethod)


def kept_direction(report: str, address: str, index: int, settings: Settings) -> KeptDirection:
    """Return a direction by the report's artifact and its row's address and index.

    Raises:
        InvalidRequest: The artifact has no such direction, or nothing varies along it.
        UnknownArtifact, ArtifactCorrupt: There is no such artifact.
    """
    from interp_lab.artifacts.mapped_matrix import map_matrices  # lazy: numpy, only when asked

    store = ArtifactStore(WorkspacePaths.of(settings))
    try:
        text = store.read_file(report, RECORD, limit=_MAX_BYTES)
        listed = LearnedDirections.model_validate_json(text).directions
    except ValidationError as error:
        raise InvalidRequest(f"The {RECORD} of artifact {report} is not one this version reads.") from error
    record = next((one for one in listed if (one.site, one.index) == (address, index)), None)
    tensor = map_matrices(store.path_of(report, TENSORS)).get(address)
    if record is None or tensor is None or index >= tensor.shape[0]:
        raise InvalidRequest(f"Artifact {report} has no direction {address} #{index}.")
    vector = tensor.read(index)
    if not vector.any():
        raise InvalidRequest(f"{address} #{index} is no direction: nothing varies along it.")
    return KeptDirection(record, vector)
