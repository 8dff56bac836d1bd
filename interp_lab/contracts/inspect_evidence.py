"""Where an inspection reads values from when it is not a model that is run: a store, or a file of records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, StringConstraints, WrapSerializer

from interp_lab.contracts.base import Contract

SourcePath = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class StoreEvidence(Contract):
    """Columns of an activation store, dense or codes."""

    kind: Literal["store"] = "store"
    """Says that the values are in a store."""
    store: SourcePath
    """Artifact id, or a folder of the workspace."""
    columns: Annotated[tuple[str, ...], Field(max_length=500)] = ()
    """Keys of columns; empty means all."""


class RecordsEvidence(Contract):
    """Activation records, JSON Lines: an object with model, prompt_id, text, criterion_score and features a line."""

    kind: Literal["records"] = "records"
    """Says that the values are in a file of records."""
    path: SourcePath
    """Path of the file."""
    absent: Literal["refuse", "zero"] = "refuse"
    """A feature that some records lack: zero only if whoever wrote the file leaves inactive features out."""


EvidenceSource = Annotated[StoreEvidence | RecordsEvidence, Field(discriminator="kind")]
_NAMED = {"store": "store", "records": "path"}


def _from_text(value: Any) -> Any:
    if isinstance(value, str):
        kind, _, name = value.partition(":")
        return {"kind": kind, _NAMED.get(kind, "path"): name}
    return _with_kind(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value


def _with_kind(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return value if "kind" in value else {"kind": "store" if "store" in value else "records", **value}


def _to_text(value: EvidenceSource, default: SerializerFunctionWrapHandler) -> Any:
    if value == StoreEvidence(store=getattr(value, "store", "-")):
        return f"store:{getattr(value, 'store', '')}"
    if value == RecordsEvidence(path=getattr(value, "path", "-")):
        return f"records:{getattr(value, 'path', '')}"
    return default(value)


EvidenceArgument = Annotated[
    EvidenceSource,
    BeforeValidator(_from_text, json_schema_input_type=EvidenceSource | str),
    WrapSerializer(_to_text),
]
"""'store:ID', 'records:FILE', or an object with options."""
