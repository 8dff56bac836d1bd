"""What an inspection ranks other than coordinates: values of a store or a file, features of a list, or directions."""

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


class FeaturesEvidence(Contract):
    """A list of features: a dump of interp-lab, or records of Neuronpedia (JSON, JSON Lines)."""

    kind: Literal["features"] = "features"
    """Says that features are named, not valued: the model reads the dataset."""
    path: SourcePath
    """Path of the file."""


LearnedMethod = Literal["difference_of_means", "linear_discriminant", "principal_component", "probe"]


class DirectionsEvidence(Contract):
    """Directions learned at the addresses from part of the explore prompts, ranked on the rest."""

    kind: Literal["directions"] = "directions"
    """Says that directions are learned."""
    methods: Annotated[tuple[LearnedMethod, ...], Field(min_length=1, max_length=4)] = (
        "difference_of_means",
        "linear_discriminant",
        "principal_component",
        "probe",
    )
    """How."""
    n_components: Annotated[int, Field(ge=1, le=10)] = 3
    """Principal components of each address."""


EvidenceSource = Annotated[StoreEvidence | RecordsEvidence, Field(discriminator="kind")]
"""Values that were recorded."""
RankedSource = Annotated[
    StoreEvidence | RecordsEvidence | FeaturesEvidence | DirectionsEvidence, Field(discriminator="kind")
]
"""Those, or features or directions that a model is read for."""
_NAMED = {"store": "store", "records": "path", "features": "path"}


def _from_text(value: Any) -> Any:
    if isinstance(value, str):
        kind, _, name = value.partition(":")
        if kind == "directions" and not name:
            return {"kind": kind}
        return {"kind": kind, _NAMED.get(kind, "path"): name}
    return _with_kind(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value


def _with_kind(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return value if "kind" in value else {"kind": "store" if "store" in value else "records", **value}


def _to_text(value: RankedSource, default: SerializerFunctionWrapHandler) -> Any:
    if value == StoreEvidence(store=getattr(value, "store", "-")):
        return f"store:{getattr(value, 'store', '')}"
    if value == RecordsEvidence(path=getattr(value, "path", "-")):
        return f"records:{getattr(value, 'path', '')}"
    if value == FeaturesEvidence(path=getattr(value, "path", "-")):
        return f"features:{getattr(value, 'path', '')}"
    if value == DirectionsEvidence():
        return "directions"
    return default(value)


EvidenceArgument = Annotated[
    EvidenceSource,
    BeforeValidator(_from_text, json_schema_input_type=EvidenceSource | str),
    WrapSerializer(_to_text),
]
"""'store:ID', 'records:FILE', or an object with options."""
RankedArgument = Annotated[
    RankedSource,
    BeforeValidator(_from_text, json_schema_input_type=RankedSource | str),
    WrapSerializer(_to_text),
]
"""'store:ID', 'records:FILE', 'features:FILE', 'directions', or an object with options."""
