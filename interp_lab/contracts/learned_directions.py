"""The record beside the directions that an inspection learned, directions.json."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import NonNegativeInt

from interp_lab.contracts.base import Contract, Seed
from interp_lab.contracts.inspect_evidence import LearnedMethod
from interp_lab.contracts.pooling import Pooling

RECORD: Final = "directions.json"
TENSORS: Final = "directions.safetensors"


class LearnedDirection(Contract):
    """One direction."""

    name: str
    """As the report calls it, 'ADDRESS/METHOD-ID #INDEX'."""
    site: str
    """Tensor of directions.safetensors `(n_directions, width)` that has it."""
    index: NonNegativeInt
    """Row of the tensor."""
    address: str
    """Where in the model it lies."""
    method: LearnedMethod
    """How it was learned."""
    width: NonNegativeInt
    """Its length in numbers."""
    direction_sha256: str
    """Hash of its float32 numbers, as in the record of a steering vector."""


class LearnedDirections(Contract):
    """Unit vectors that explore prompts taught, in the order of the report's sites."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    criterion: str
    """What the positives have."""
    model: str
    """Id of the model."""
    dataset: str
    """Name and hash of the prompts."""
    seed: Seed
    """Seed of the split that told which prompts taught them."""
    taught_by: NonNegativeInt
    """Explore prompts that taught them."""
    taught_pooling: Pooling
    """From tokens to the one value per prompt and coordinate that they were learned from."""
    directions: tuple[LearnedDirection, ...]
    """Every one."""
