"""train_sae as it is asked and answered: which dictionaries, from which activations, how they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)

from interp_lab.contracts.base import Contract, Probability, Seed
from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.contracts.dictionaries import BY_COUNT, ArchitectureName, DictionaryKind, TrainingConfig
from interp_lab.contracts.inspect import ModelArgument
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.query_conditions import StoreName
from interp_lab.contracts.results import Result
from interp_lab.points import Address

REPORT_KIND: Final = "training_report"
DICTIONARY_KIND: Final = "dictionary"
MAX_DICTIONARIES: Final = 64

PresetName = Literal["minimal", "production"]
PRESETS: Final[Mapping[PresetName, Mapping[str, Any]]] = {
    "minimal": {
        "expansion": 4,
        "sparsities": (16.0,),
        "training": {"total_tokens": 1_000_000, "batch_tokens": 1024, "dead_window_tokens": 250_000},
    },
    "production": {
        "expansion": 16,
        "sparsities": (32.0,),
        "training": {
            "total_tokens": 50_000_000,
            "batch_tokens": 4096,
            "warmup_steps": 200,
            "decay_steps": 2000,
            "sparsity_warmup_steps": 1000,
            "dead_window_tokens": 2_000_000,
        },
    },
}
"""minimal: a quick look in minutes. production: the dictionary that claims are made about."""

_HYPER_PARAMETERS: Final = WithJsonSchema(
    {
        "type": "object",
        "description": "Hyper-parameters by name; each overrides the preset. "
        + ", ".join(name for name in TrainingConfig.model_fields if name != "seed")
        + ". An unknown one is refused.",
        "additionalProperties": True,
    }
)
"""The tool list stays short: names are enough for an agent, and an unknown one is refused with the list."""
_PLACES: Final = WithJsonSchema({"type": "array", "items": {"type": "string"}, "maxItems": MAX_DICTIONARIES})
_CORPUS: Final = WithJsonSchema(
    {
        "description": "What to read, begun again when it ends: 'builtin:NAME', a path, or an object as in harvest.",
    }
)

Flag = Literal[
    "many_dead_latents", "poor_reconstruction", "still_improving", "few_tokens", "off_target_sparsity", "stopped_early"
]


class StoreSource(Contract):
    """An activation store: an artifact of harvest, or a folder of the workspace."""

    kind: Literal["store"] = "store"
    """Says that the activations are on disk."""
    store: StoreName
    """Artifact id or folder."""


class StoresSource(Contract):
    """Stores of several models that read the same tokens, put side by side: for a crosscoder of these models."""

    kind: Literal["stores"] = "stores"
    """Says that every row is read from several stores."""
    stores: Annotated[tuple[StoreName, ...], Field(min_length=2, max_length=8)]
    """Artifact ids or folders, one per model; for a diff the base first."""


class SideBySideSource(StoresSource):
    """The same with other addresses for every model."""

    addresses: tuple[tuple[Address, ...], ...] = ()
    """Where each model is read, one list per store; empty means the addresses of the request in all of them."""


class StreamSource(Contract):
    """A model that reads a corpus while the dictionaries train on what it computes; nothing is stored."""

    kind: Literal["stream"] = "stream"
    """Says that activations are computed as they are needed."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model to read with."""
    dataset: Annotated[CorpusArgument, _CORPUS] = Field(examples=["builtin:person-name"])
    """What to read; begun again when it ends."""
    buffer_tokens: Annotated[int, Field(ge=1024, le=2**24)] = 65_536
    """Tokens that are held and mixed before they are trained on."""


def _source_from_text(value: Any) -> Any:
    return {"kind": "store", "store": value} if isinstance(value, str) else value


TrainingSource = Annotated[
    Annotated[StoreSource | SideBySideSource | StreamSource, Field(discriminator="kind")],
    BeforeValidator(_source_from_text, json_schema_input_type=StoreSource | SideBySideSource | StreamSource | str),
]
"""Where activations come from; text alone names a store."""


class EarlyStop(Contract):
    """When a dictionary that no longer improves on held-out prompts is finished before its time."""

    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    """Evaluations in a row without improvement."""
    least_improvement: Annotated[FiniteFloat, Field(ge=0, le=1)] = 1e-3
    """Fall of the held-out FVU that counts as an improvement."""


class TrainSaeRequest(JobRequest):
    """Train one dictionary for every combination of addresses, widths, sparsities and seeds, in one pass."""

    source: TrainingSource
    """Activations to train on: the artifact id of a store, or an object."""
    addresses: Annotated[tuple[Address, ...], Field(max_length=MAX_DICTIONARIES), _PLACES] = ()
    """Where the dictionaries read; empty means every dense column of the store. A crosscoder reads all of them."""
    targets: Annotated[tuple[Address, ...], Field(max_length=MAX_DICTIONARIES), _PLACES] = ()
    """Transcoders only: where they write, one for each of the addresses."""
    kind: DictionaryKind = "sae"
    """sae: reconstructs what it reads; transcoder: another address; crosscoder: all addresses at once."""
    architecture: ArchitectureName = "topk"
    """Which latents fire."""
    skip: bool = False
    """Transcoders only: add a linear map from input to output."""
    preset: PresetName = "minimal"
    """minimal: 4 latents per coordinate, k 16, 1 M tokens; production: 16, k 32, 50 M tokens with schedules."""
    widths: (
        Annotated[tuple[Annotated[int, Field(ge=2, le=2**22)], ...], Field(min_length=1, max_length=MAX_DICTIONARIES)]
        | None
    ) = None
    """Numbers of latents; absent, as many per coordinate as the preset says."""
    sparsities: (
        Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(min_length=1, max_length=MAX_DICTIONARIES)]
        | None
    ) = None
    """k of topk, batchtopk and matryoshka, else the weight of the penalty; absent, as the preset says."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_DICTIONARIES)] = (0,)
    """Seeds of the first weights, one dictionary each."""
    training: Annotated[TrainingConfig, _HYPER_PARAMETERS] = TrainingConfig()
    """Every hyper-parameter; one that is given overrides the preset. The seed is taken from seeds."""
    held_out: Annotated[Probability, Field(gt=0, le=0.5)] = 0.1
    """Share of the prompt groups that no dictionary is trained on; figures are of these."""
    held_out_tokens: Annotated[int, Field(ge=256, le=2**22)] = 16_384
    """Most held-out tokens that figures are computed on."""
    skip_special: bool = True
    """Leave out tokens that stand for no text, such as the beginning of text, whose activations are of another size."""
    early_stop: EarlyStop | None = None
    """Finish a dictionary before its time when it no longer improves; absent for never."""
    evaluations: Annotated[int, Field(ge=1, le=200)] = 10
    """How often held-out figures are computed on the way."""
    seed: Seed = 0
    """Seed of the split and of the order of tokens."""
    ranks: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share every batch, by torchrun: one per accelerator, or on CPUs."""
    nodes: Annotated[int, Field(ge=1, le=64)] = 1
    """Machines of a cluster over which ranks are spread."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        """Put what the preset says where the request says nothing, so that what runs stands in the request."""
        if not isinstance(given, Mapping):
            return given
        fields = dict(cast("Mapping[str, Any]", given))
        preset = PRESETS.get(fields.get("preset", "minimal"))
        training = fields.get("training", {})
        if preset is not None and isinstance(training, Mapping):
            fields["training"] = {**preset["training"], **training}
        return fields

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.kind == "transcoder") != bool(self.targets):
            raise ValueError("targets belong to transcoders, and a transcoder needs them")
        if self.targets and len(self.targets) != len(self.addresses):
            raise ValueError("give one target for each address")
        if self.skip and self.kind != "transcoder":
            raise ValueError("only a transcoder has a skip connection")
        if self.source.kind == "stores":
            self._fits_side_by_side(self.source)
        elif self.kind == "crosscoder" and len(self.addresses) == 1:
            raise ValueError("a crosscoder reads at least two addresses")
        if self.source.kind == "stream" and not self.addresses:
            raise ValueError("name the addresses to read")
        if len(set(self.addresses)) != len(self.addresses):
            raise ValueError("an address is named twice")
        self._can_be_shared()
        return self

    def _can_be_shared(self) -> None:
        if self.ranks > 1 and self.source.kind == "stream":
            raise ValueError("ranks share the rows of a store; every one of them would read a stream anew")
        if self.ranks % self.nodes:
            raise ValueError(f"{self.ranks} ranks cannot be spread evenly over {self.nodes} nodes")
        if self.training.batch_tokens % self.ranks:
            raise ValueError(f"{self.training.batch_tokens} tokens of a batch cannot be shared by {self.ranks} ranks")

    def _fits_side_by_side(self, source: SideBySideSource) -> None:
        if self.kind != "crosscoder":
            raise ValueError("several stores side by side are read by a crosscoder: set kind to crosscoder")
        if source.addresses and (self.addresses or len(source.addresses) != len(source.stores)):
            raise ValueError("name addresses once: in the request for all stores, or in the source, one list per store")
        if not all(source.addresses) or any(len(set(own)) != len(own) for own in source.addresses):
            raise ValueError("every store needs addresses, each named once")

    @property
    def chosen_sparsities(self) -> tuple[float, ...]:
        """Return the values of k, or the weights of the penalty."""
        if self.sparsities is not None:
            return self.sparsities
        return (
            PRESETS[self.preset]["sparsities"]
            if self.architecture in BY_COUNT
            else (self.training.sparsity_coefficient,)
        )


class TrainedDictionary(Contract):
    """One dictionary and how it does on prompts that it was not trained on."""

    name: str
    """Name within this run, and of its codes in a store."""
    artifact: str | None
    """Its artifact id."""
    place: str
    """Where it reads, and for a transcoder where it writes."""
    architecture: ArchitectureName
    """Which latents fire."""
    n_latents: int
    """Latents."""
    sparsity: FiniteFloat
    """k, or the weight of the penalty."""
    seed: Seed
    """Seed of its first weights."""
    fvu: FiniteFloat
    """Fraction of variance unexplained on held-out tokens; 0 is perfect, 1 no better than the mean."""
    fvu_interval: tuple[FiniteFloat, FiniteFloat]
    """95 % interval that counts prompt groups, not tokens."""
    l0: FiniteFloat
    """Active latents per held-out token."""
    dead_fraction: Probability | None
    """Share of latents that did not fire in the last dead_window_tokens of training; absent if it was not longer."""
    unfired_fraction: Probability
    """Share of latents that fired on no held-out token."""
    cosine: FiniteFloat
    """Mean cosine between activations and reconstructions on held-out tokens."""
    n_held_out: int
    """Held-out tokens."""
    n_held_out_groups: int
    """Held-out prompt groups."""
    tokens: int
    """Tokens trained on, repeats included."""
    epochs: FiniteFloat
    """Times that every training token was seen on average."""
    seconds: FiniteFloat
    """Time in training steps."""
    tokens_per_s: FiniteFloat
    """Speed of its training steps."""
    flags: tuple[Flag, ...]
    """What a careful user must know; the warnings say each in words."""


class TrainSaeResult(Result):
    """One row per dictionary."""

    n_train_tokens: int
    """Different tokens that could be trained on; of a stream, those of one pass."""
    n_train_groups: int
    """Prompt groups that were trained on."""
    dictionaries: tuple[TrainedDictionary, ...]
    """In the order of addresses, widths, sparsities, seeds."""


class TrainingReport(Contract):
    """The full record of a training run."""

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    headline: str
    """One sentence that is true when quoted alone."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    request: dict[str, JsonValue]
    """What was asked, presets filled in."""
    dictionaries: tuple[TrainedDictionary, ...]
    """One row per dictionary."""


class TrainSaePlan(Contract):
    """What a training run would do and cost; what is not known is left out, never guessed."""

    dictionaries: tuple[str, ...]
    """Names."""
    n_parameters: NonNegativeInt | None
    """Weights, over all dictionaries; absent where the widths of a model are not known yet."""
    parameter_bytes: NonNegativeInt | None
    """Memory of the weights."""
    optimiser_bytes: NonNegativeInt | None
    """Memory of gradients and moments."""
    peak_bytes: NonNegativeInt | None
    """Memory at the peak, an upper estimate."""
    disk_bytes: NonNegativeInt | None = None
    """Most that checkpoints and dictionaries take on disk."""
    tokens: PositiveInt
    """Tokens that each dictionary trains on."""
    steps: PositiveInt
    """Steps of each dictionary."""
    n_rows: NonNegativeInt | None
    """Tokens in the store, held-out ones included."""
    epochs: Annotated[FiniteFloat, Field(ge=0)] | None
    """Times that a token is seen."""
    seconds: Annotated[FiniteFloat, Field(ge=0)] | None
    """Time, from the measured speed of earlier runs on this machine; absent before the first."""
    seconds_source: str | None
    """Where the time comes from."""
