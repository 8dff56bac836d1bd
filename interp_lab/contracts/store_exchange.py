"""Imports and exports of activation stores as they are asked and answered: formats of other tools in, and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WrapSerializer,
)

from interp_lab.contracts.base import Contract, Name
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.query_conditions import ColumnKey, StoreName
from interp_lab.contracts.results import Result
from interp_lab.contracts.store import StoreDtype
from interp_lab.points import Address

WorkspacePath = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
ImportKind = Literal["records", "numpy", "delphi", "saelens", "interlatent"]
ExportFormat = Literal["records", "npy", "npz", "delphi", "saelens"]
Pooling = Literal["token", "max", "mean", "last"]
"""token: a record per row; otherwise a record per prompt, special tokens left out."""


class RecordsSource(Contract):
    """Activation records, JSON Lines: one object with model, prompt_id, text, criterion_score and features a line."""

    kind: Literal["records"] = "records"
    """Says that the file holds activation records."""
    path: WorkspacePath
    """File in the workspace."""
    absent: Literal["refuse", "zero"] = "refuse"
    """A feature that some records lack: zero only if whoever wrote the file leaves inactive features out."""


class NumpySource(Contract):
    """A .npy file of shape (rows, width), or a .npz whose arrays are named by their addresses."""

    kind: Literal["numpy"] = "numpy"
    """Says that the file holds NumPy arrays."""
    path: WorkspacePath
    """File in the workspace."""
    address: Address | None = None
    """Where the values of a .npy file were read."""
    labels: WorkspacePath | None = None
    """CSV file with a header and one line per row: prompt, position, token, token_id, text, score, group and labels."""


class DelphiSource(Contract):
    """A folder of a delphi latent cache: START_END.safetensors with locations, activations and tokens."""

    kind: Literal["delphi"] = "delphi"
    """Says that the folder holds a delphi latent cache of one module."""
    path: WorkspacePath
    """Folder in the workspace."""
    address: Address
    """Where the dictionary reads."""
    dictionary: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "delphi"
    """Name of the dictionary in the new store."""


class SaelensSource(Contract):
    """A folder of activations cached by SAELens: an Arrow dataset with a column per hook name and token_ids."""

    kind: Literal["saelens"] = "saelens"
    """Says that the folder was written by CacheActivationsRunner."""
    path: WorkspacePath
    """Folder in the workspace."""


class InterlatentSource(Contract):
    """An Interlatent SQLite database, one row per scalar or per vector; it is only read."""

    kind: Literal["interlatent"] = "interlatent"
    """Says that the file is an Interlatent database."""
    path: WorkspacePath
    """File in the workspace."""
    layers: Annotated[tuple[Name, ...], Field(max_length=200)] = ()
    """Layers by their names in the database; empty means all, which must have the same rows."""


ImportSource = Annotated[
    RecordsSource | NumpySource | DelphiSource | SaelensSource | InterlatentSource, Field(discriminator="kind")
]
"""What is read, by format."""


def _source_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    kind, colon, path = value.partition(":")
    return {"kind": kind, "path": path} if colon else value


def _source_to_text(value: ImportSource, default: SerializerFunctionWrapHandler) -> Any:
    short = value.model_dump(exclude_defaults=True).keys() <= {"kind", "path"}
    return f"{value.kind}:{value.path}" if short else default(value)


ImportArgument = Annotated[
    ImportSource,
    BeforeValidator(_source_from_text, json_schema_input_type=ImportSource | str),
    WrapSerializer(_source_to_text),
]
"""What is read: 'KIND:PATH' with records, numpy, saelens or interlatent, or an object with the format's options."""


class StoreImportRequest(JobRequest):
    """Read activations that another tool wrote into an activation store."""

    source: ImportArgument = Field(examples=["records:exports/records.jsonl"])
    """What to read: 'records:FILE', 'numpy:FILE', 'saelens:FOLDER', 'interlatent:FILE', or an object with options."""
    model: Name | None = None
    """Model that the activations are of; needed where a file holds several, recorded where it names none."""
    dtype: StoreDtype = "float32"
    """Number format in the new store; float32 keeps what the file has."""


class ImportedColumn(Contract):
    """One column of the new store."""

    key: str
    """Name for queries."""
    kind: Literal["dense", "codes"]
    """Every value, or active latents only."""
    width: PositiveInt
    """Units."""
    source: str
    """Name in the file (untrusted text)."""


class StoreImportResult(Result):
    """What the new store holds."""

    n_rows: NonNegativeInt
    """Rows: tokens, steps or records."""
    n_prompts: NonNegativeInt
    """Prompts, sequences or episodes."""
    n_groups: NonNegativeInt
    """Independent groups among them."""
    columns: tuple[ImportedColumn, ...]
    """At most 50 of the columns."""
    labels: tuple[str, ...]
    """Labels that came with the rows or prompts, at most 50."""
    metrics: tuple[str, ...]
    """Numbers that came with the rows, at most 50."""


class StoreImportPlan(Contract):
    """What an import would read."""

    kind: ImportKind
    """Format."""
    n_files: PositiveInt
    """Files."""
    n_bytes: NonNegativeInt
    """Their size."""


class StoreExportRequest(JobRequest):
    """Write an activation store in a format that other tools read."""

    store: StoreName
    """Artifact id of an activation store, or the path of its folder in the workspace."""
    format: ExportFormat
    """records: activation records, JSON Lines; npy, npz: arrays and CSV tables; delphi: a latent cache; saelens:
    cached activations."""
    columns: Annotated[tuple[ColumnKey, ...], Field(max_length=200)] = ()
    """Columns to write; empty means all. delphi takes one column of codes, saelens dense ones."""
    units: Annotated[tuple[NonNegativeInt, ...], Field(max_length=10_000)] = ()
    """records only: units of every column to write; empty means all, of codes those that ever fire."""
    pooling: Pooling = "max"
    """records only: how the rows of a prompt become one record; token keeps every row."""
    context_size: PositiveInt | None = None
    """delphi and saelens: rows per sequence; left out, the common length of the prompts, if they have one."""


class StoreExportResult(Result):
    """What was written."""

    format: ExportFormat
    """Format."""
    columns: tuple[str, ...]
    """Columns written."""
    n_rows: NonNegativeInt
    """Rows of the store that are in the export."""
    n_written: NonNegativeInt
    """Records, sequences or array rows in it."""


class StoreExportPlan(Contract):
    """What an export would write."""

    format: ExportFormat
    """Format."""
    columns: tuple[str, ...]
    """Columns."""
    n_rows: NonNegativeInt
    """Rows of the store."""
    n_values: NonNegativeInt
    """Numbers at most."""
