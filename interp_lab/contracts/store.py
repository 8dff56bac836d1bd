"""What an activation store says about itself: its header, its shards and the hash of every byte of data.

A store is a folder. One row is one token, one environment step or one record; a column is what was read at one
address (dense) or what one dictionary made of it (codes). Reading and writing are `interp_lab.store`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from interp_lab.contracts.base import Contract, Name, Seed
from interp_lab.points import Address

STORE_KIND = "activation_store"
STORE_SCHEMA = 1
STORE_FORMAT = "interp-lab activation store"
MAX_SHARD_ROWS = 2**24

StoreDtype = Literal["bfloat16", "float16", "float32"]
LabelType = Literal["string", "category", "boolean", "integer", "number", "span"]
LabelScope = Literal["row", "prompt"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
DictionaryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
DescriptorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Width = Annotated[int, Field(ge=1, le=2**24)]


class StoredModel(Contract):
    """The model that the activations are of."""

    id: str
    """As it was asked for."""
    revision: str | None = None
    """Commit of a hub model."""
    weights_hash: str | None = None
    """Hash of the weight files."""
    architecture: str = ""
    """Class of the model."""
    dtype: str = "float32"
    """Number format that it ran in."""
    device: str = "cpu"
    """Where it ran."""


class StoredDataset(Contract):
    """What the rows were read from."""

    name: str
    """Name or path."""
    sha256: Sha256 | None = None
    """Hash over every field of every prompt."""


class DenseColumn(Contract):
    """Activations at one address: `(n_rows, width)`."""

    kind: Literal["dense"] = "dense"
    """Says that every value is stored."""
    address: Address
    """Where they were read."""
    width: Width
    """Coordinates per row."""
    dtype: StoreDtype = "bfloat16"
    """Number format on disk."""

    @property
    def key(self) -> str:
        """Name of the column: the address in canonical form."""
        return str(self.address)


class CodeColumn(Contract):
    """Active latents of one dictionary at one address: `(n_rows, width)`, zeros not stored."""

    kind: Literal["codes"] = "codes"
    """Says that only active latents are stored."""
    address: Address
    """Where the dictionary reads."""
    dictionary: DictionaryName
    """Its name within this store."""
    dictionary_id: str | None = None
    """Artifact id or content hash of the dictionary."""
    width: Width
    """Latents of the dictionary."""
    dtype: StoreDtype = "bfloat16"
    """Number format of the values on disk; a value that rounds to zero counts as inactive."""

    @property
    def key(self) -> str:
        """Name of the column: address, slash, dictionary."""
        return f"{self.address}/{self.dictionary}"


Column = Annotated[DenseColumn | CodeColumn, Field(discriminator="kind")]
"""One column of a store."""


class LabelField(Contract):
    """A label that rows or prompts carry, with its name as given and never hashed."""

    name: DescriptorName
    """Column 'label:NAME' of the table."""
    type: LabelType
    """What its values are; a span is a list of [start, end) pairs of characters."""
    scope: LabelScope = "prompt"
    """In which table it stands."""
    description: str = ""
    """What it means."""


class MetricField(Contract):
    """A number per row, float32, empty where it is not defined."""

    name: DescriptorName
    """Column 'metric:NAME' of the row table."""
    unit: str = ""
    """Unit, for example 'nats'."""
    description: str = ""
    """What it means."""


class StoreHeader(Contract):
    """What is known before the first row: everything but the data."""

    title: Name = "activations"
    """One line for a reader."""
    row: Literal["token", "step", "record"] = "token"
    """What one row is."""
    model: StoredModel | None = None
    """Model that was run; none for imported numbers."""
    tokenizer_hash: str | None = None
    """Hash of the tokenizer's files."""
    dataset: StoredDataset | None = None
    """What was read."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=10_000)]
    """What was stored."""
    labels: tuple[LabelField, ...] = ()
    """Labels of rows and prompts."""
    metrics: tuple[MetricField, ...] = ()
    """Numbers per row."""
    precision: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """How matrix products were computed."""
    seed: Seed = 0
    """Seed of every random choice."""
    settings: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """Everything else that decides the bytes."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> StoreHeader:
        for what, names in (
            ("column", [column.key for column in self.columns]),
            ("label", [f"{label.scope}:{label.name}" for label in self.labels]),
            ("metric", [metric.name for metric in self.metrics]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two {what}s have the same name")
        return self

    def column(self, key: str) -> DenseColumn | CodeColumn | None:
        """Return the column of that key, or None."""
        return next((column for column in self.columns if column.key == key), None)


class StoreFile(Contract):
    """One data file."""

    name: FileName
    """Plain file name in the folder."""
    sha256: Sha256
    """Hash of the contents."""
    bytes: NonNegativeInt
    """Size."""


class Shard(Contract):
    """A run of rows that is there whole or not at all."""

    start: NonNegativeInt
    """First row, counted over the store."""
    n_rows: PositiveInt
    """Rows."""
    rows: StoreFile
    """Parquet table of the rows."""
    columns: dict[str, StoreFile]
    """Tensor file of every column, by key."""


class PostingsPart(Contract):
    """The latent-major copy of one code column over a run of rows."""

    start: NonNegativeInt
    """First row."""
    n_rows: NonNegativeInt
    """Rows."""
    n_active: NonNegativeInt
    """Stored values."""
    file: StoreFile
    """Tensor file."""


class StoreManifest(StoreHeader):
    """A complete store."""

    format: Literal["interp-lab activation store"] = STORE_FORMAT
    """Tells the file from any other."""
    schema_version: Literal[1] = STORE_SCHEMA
    """Version of the layout."""
    shard_rows: Annotated[int, Field(ge=1, le=MAX_SHARD_ROWS)]
    """Rows of every shard but the last."""
    n_rows: NonNegativeInt
    """Rows in all."""
    n_prompts: NonNegativeInt
    """Rows of the prompt table."""
    n_groups: NonNegativeInt
    """Independent groups of prompts."""
    prompts: StoreFile
    """Parquet table of the prompts."""
    shards: tuple[Shard, ...]
    """In the order of the rows."""
    postings: dict[str, tuple[PostingsPart, ...]] = Field(default_factory=dict[str, tuple[PostingsPart, ...]])
    """Latent-major copies, by key of the code column."""

    @model_validator(mode="after")
    def _shards_are_one_run(self) -> StoreManifest:
        _require_run([(shard.start, shard.n_rows) for shard in self.shards], self.n_rows, "shards")
        keys = {column.key for column in self.columns}
        codes = {column.key for column in self.columns if column.kind == "codes"}
        if any(shard.n_rows != self.shard_rows for shard in self.shards[:-1]):
            raise ValueError("a shard before the last is not full")
        if self.shards and self.shards[-1].n_rows > self.shard_rows:
            raise ValueError("the last shard has too many rows")
        if any(shard.columns.keys() != keys for shard in self.shards):
            raise ValueError("a shard does not have every column")
        if self.postings.keys() != codes:
            raise ValueError("a code column has no latent-major copy")
        for parts in self.postings.values():
            _require_run([(part.start, part.n_rows) for part in parts], self.n_rows, "latent-major parts")
        return self

    @model_validator(mode="after")
    def _files_are_distinct(self) -> StoreManifest:
        names = [file.name.casefold() for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("two files have the same name")
        return self

    @property
    def files(self) -> tuple[StoreFile, ...]:
        """Every data file, in the order prompts, shards, latent-major copies."""
        shards = [file for shard in self.shards for file in (shard.rows, *shard.columns.values())]
        return (self.prompts, *shards, *(part.file for parts in self.postings.values() for part in parts))


def _require_run(spans: list[tuple[int, int]], total: int, what: str) -> None:
    """Refuse spans that leave a gap, overlap, or do not end at `total`."""
    ends = [start + length for start, length in spans]
    starts = [start for start, _ in spans]
    if starts[:1] not in ([0], []) or any(end != start for end, start in zip(ends, starts[1:], strict=False)):
        raise ValueError(f"the {what} leave a gap or overlap")
    if (ends[-1] if ends else 0) != total:
        raise ValueError(f"the {what} do not hold {total} rows")
