# pyright: standard
"""Steering vectors as files: written in every form, read back for use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.numpy import save_file

from interp_lab.artifacts.mapped_matrix import map_matrices
from interp_lab.artifacts.reading import read_json
from interp_lab.artifacts.vector_hash import vector_hash
from interp_lab.artifacts.writer import ArtifactWriter
from interp_lab.bridges.gguf_control_vector import write_control_vector
from interp_lab.bridges.peer_steering import contrast_records, peer_vector
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.contracts.steering_vector import VECTOR_KIND, SteeringVector
from interp_lab.errors import InvalidRequest, PackageMissing
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.named_folders import named_folder

TENSORS, RECORD = "direction.safetensors", "direction.json"
GGUF, PEER, RECORDS = "control_vector.gguf", "steering_vector.json", "contrast_records.jsonl"

Vector = NDArray[np.float32]


class Saved(NamedTuple):
    """A direction as it was saved."""

    address: Address
    unit: Vector
    record: SteeringVector | None
    """None for a direction of a probe, which has a record of another kind."""
    digest: str


def write_vector(
    files: ArtifactWriter,
    record: SteeringVector,
    unit: Vector,
    *,
    prompts: Sequence[ScoredPrompt],
    coordinates: Sequence[float],
    model_type: str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write every form of the vector; return the names of the files, and notes on those that could not be written."""
    files.write_json(RECORD, record.model_dump(mode="json"))
    save_file({"directions": np.ascontiguousarray(unit[None], dtype=np.float32)}, files.path(TENSORS))
    address = Address.parse(record.address)
    block = _block(address)
    if block is None:
        note = f"Other tools add vectors to the output of a block, so {address} has no GGUF or JSON form."
        return (RECORD, TENSORS), (note,)
    files.write_json(PEER, peer_vector(record, unit, block))
    lines = contrast_records(record, unit, block=block, prompts=prompts, coordinates=coordinates)
    files.write_text(RECORDS, "".join(f"{line}\n" for line in lines))
    written = (RECORD, TENSORS, PEER, RECORDS)
    if block == 0:
        return written, ("llama.cpp reads no direction for layer 0, so there is no GGUF form.",)
    facts = {"grade": record.grade, "criterion": record.criterion, "direction_sha256": record.direction_sha256}
    try:
        write_control_vector(files.path(GGUF), {block: unit * record.residual_norm}, model_type=model_type, facts=facts)
    except PackageMissing as error:
        return written, (str(error),)
    return (*written, GGUF), ()


def read_vector(name: str, settings: Settings) -> Saved:
    """Return a saved direction: a steering vector, or the direction of a probe.

    Raises:
        InvalidRequest: It is no direction in the residual stream, or its numbers are not those of its record.
        LabError: as `named_folder` and `map_matrices`.
    """
    folder = named_folder(name, VECTOR_KIND, settings, refusal=InvalidRequest)
    if not (folder / TENSORS).is_file() or not (folder / RECORD).is_file():
        raise InvalidRequest(f"{name[:80]} holds no {TENSORS} with its {RECORD}.", remedy="Use make_steering_vector.")
    tensor = map_matrices(folder / TENSORS).get("directions")
    if tensor is None:
        raise InvalidRequest(f"{name[:80]} has no tensor 'directions'.")
    vector = np.atleast_2d(tensor.read())[0].astype(np.float32)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length <= 0:
        raise InvalidRequest(f"The direction of {name[:80]} is zero or not finite.")
    record, address = _record(folder / RECORD)
    digest = vector_hash(vector)
    if record is not None and record.direction_sha256 != digest:
        raise InvalidRequest(f"The numbers of {name[:80]} are not those that its record is about.")
    return Saved(address, vector if record else vector / length, record, digest)


def _record(path: Path) -> tuple[SteeringVector | None, Address]:
    with path.open("rb") as file:
        content = read_json(file, where=path.name)
    told = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    try:
        record = SteeringVector.model_validate(told)
    except ValidationError:
        record = None
    address = told.get("address")
    if not isinstance(address, str) or told.get("space", "activations") != "activations":
        raise InvalidRequest(f"{path.name} does not say where in the model the direction lies.")
    return record, Address.parse(address)


def _block(address: Address) -> int | None:
    return address.layer if address.point == "resid_post" else None
