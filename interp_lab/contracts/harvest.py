"""Harvest as it is asked and answered: activations of a corpus into a store. The store's own records are elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from interp_lab.contracts.base import Contract, Seed
from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.contracts.inspect import ModelArgument
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result
from interp_lab.contracts.store import StoreDtype
from interp_lab.points import Address

MetricName = Literal[
    "loss", "surprisal", "entropy", "target_logit", "target_logprob", "target_rank", "position", "repetition",
    "token_class",
]  # fmt: skip
"""Per-token measurements; see docs/harvest.md."""

TARGET_METRICS: frozenset[MetricName] = frozenset({"target_logit", "target_logprob", "target_rank"})
LOGIT_METRICS: frozenset[MetricName] = frozenset({*TARGET_METRICS, "loss", "surprisal", "entropy"})
"""Metrics for which the whole model has to run."""


class Generation(Contract):
    """A continuation that the model writes for every document before it is read."""

    max_new_tokens: Annotated[int, Field(ge=1, le=4096)]
    """Longest continuation."""
    temperature: Annotated[FiniteFloat, Field(ge=0.0, le=10.0)] = 0.0
    """0 takes the likeliest token; above, tokens are drawn by the seed."""


class DecoderText(Contract):
    """What the decoder of an encoder-decoder reads while its encoder reads the documents."""

    target: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Label of every document with the text that the decoder reads; absent, what `generate` writes."""


# What a host lists of every tool is bounded, so the schemas of models and addresses are named here and not repeated.
_Model = Annotated[
    ModelArgument,
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}], "examples": ["builtin:pocket-llama"]}),
]
_Address = Annotated[Address, WithJsonSchema({"type": "string", "examples": ["resid_post.2", "module:lm.h.0.mlp@in"]})]


class HarvestRequest(JobRequest):
    """Read a corpus with a model and keep the activations of every token."""

    model: _Model
    """Id, or {id, revision, dtype, device} as in inspect; dtype 'bfloat16' is faster and changes the last digits."""
    dataset: CorpusArgument
    """'builtin:NAME', a path (.jsonl, .parquet, else text), or an object by kind: text {path, unit:
    paragraph|line|file}, jsonl or parquet {path, text_field, id_field, label_fields, group_field}, chat {path,
    messages_field}, inline {prompts: [{text, score, labels}]}."""
    addresses: Annotated[tuple[_Address, ...], Field(min_length=1, max_length=200)]
    """Where to look, all in one pass; nothing deeper is computed."""
    metrics: Annotated[tuple[MetricName, ...], Field(max_length=9)] = ()
    """What to measure of every token."""
    targets: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(max_length=20)
    ] = ()
    """Tokens of the target_ metrics, with the space before them: [' she', ' he']."""
    generate: Annotated[Generation | None, WithJsonSchema({"type": "object"})] = None
    """{max_new_tokens, temperature}: let the model go on after every document; rows say what it wrote."""
    decoder: Annotated[DecoderText | None, WithJsonSchema({"type": "object"})] = None
    """Encoder-decoder: read the decoder (decoder_resid_post.1), fed with {target: LABEL}, or {} and generate."""
    dtype: StoreDtype = "bfloat16"
    """Number format in the store."""
    context: Annotated[int, Field(ge=1, le=2**20)] | None = None
    """Tokens read at once; absent, the model's context. Longer documents are cut."""
    overlap: NonNegativeInt = 0
    """Tokens that each further window reads again as context."""
    bos: Literal["tokenizer", "always", "never"] = "tokenizer"
    """Special tokens."""
    packing: Literal["auto", "never"] = "auto"
    """auto: documents share a row where that is proven exact."""
    token_budget: Annotated[int, Field(ge=1, le=2**22)] | None = None
    """Tokens in one pass; absent, by the size of the machine."""
    max_documents: Annotated[int, Field(ge=1)] | None = None
    """Read the first so many only."""
    seed: Seed = 0
    """Seed of every random choice."""
    shards: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Independent processes that share the work; the store is the same."""

    @model_validator(mode="after")
    def _targets_are_used(self) -> HarvestRequest:
        asked = TARGET_METRICS & set(self.metrics)
        if bool(asked) != bool(self.targets):
            raise ValueError("targets and a target_ metric need each other")
        return self

    @model_validator(mode="after")
    def _the_decoder_reads_one_text(self) -> HarvestRequest:
        if self.decoder is not None and (self.decoder.target is None) == (self.generate is None):
            raise ValueError(
                "the decoder reads the label named as target, or what generate writes: give one of the two"
            )
        if self.decoder is not None and self.dataset.kind == "chat":
            raise ValueError("conversations are for models without an encoder; give plain documents")
        return self


class HarvestedColumn(Contract):
    """One column of the store."""

    key: str
    """Name of the column: the address."""
    width: int
    """Coordinates per row."""
    dtype: StoreDtype
    """Number format on disk."""


class HarvestResult(Result):
    """What was read and where it is."""

    model: str
    """Id of the model."""
    dataset: str
    """Name of the dataset."""
    n_documents: NonNegativeInt
    """Documents."""
    n_cut: NonNegativeInt
    """Documents longer than the context, which were cut into windows."""
    n_rows: NonNegativeInt
    """Rows of the store, one per token."""
    n_groups: NonNegativeInt
    """Independent groups of documents."""
    columns: tuple[HarvestedColumn, ...]
    """What was stored."""
    metrics: tuple[str, ...]
    """Metrics of every row."""
    labels: tuple[str, ...]
    """Labels of rows and documents, by name."""
    bytes: NonNegativeInt
    """Size of the store on disk."""
    tokens_per_s: NonNegativeFloat | None
    """Measured here, context tokens included; absent if everything was already there."""
    layout: str
    """How documents were laid out in passes, and why."""


class HarvestPlan(Contract):
    """What a harvest would do and cost; what is not known is left out, never guessed."""

    n_documents: NonNegativeInt
    """Documents."""
    n_tokens: NonNegativeInt | None
    """Tokens to store."""
    tokens_source: Literal["counted", "extrapolated", "upper_bound"] | None
    """Counted with the model's tokenizer, or from a sample of the text; an upper bound where text is generated."""
    n_columns: NonNegativeInt
    """Addresses."""
    scalars_per_token: NonNegativeInt | None
    """Numbers stored per token."""
    bytes: NonNegativeInt | None
    """Size of the store."""
    free_bytes: NonNegativeInt
    """Free disk space."""
    weight_bytes: NonNegativeInt | None
    """Size of the weight files."""
    peak_bytes: NonNegativeInt | None
    """Memory at the peak, an upper estimate."""
    seconds: NonNegativeFloat | None
    """Time to read, from a run of this model on this machine; absent before the first."""
    seconds_at_least: NonNegativeFloat | None
    """Time that the arithmetic alone would take at this machine's measured matrix speed; absent on an accelerator."""
    seconds_source: str | None
    """Where the times come from."""
