"""What a large run would take: asked in human sizes, answered with a formula and a source behind every number."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, JsonValue, NonNegativeFloat, PositiveInt, StringConstraints, model_validator

from interp_lab.contracts.base import Contract
from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.contracts.dictionaries import ArchitectureName
from interp_lab.contracts.inspect import ModelArgument
from interp_lab.contracts.machine import RouteName
from interp_lab.contracts.results import Result
from interp_lab.contracts.sizes import ByteSize, Count

DeviceName = Literal["h100-sxm", "h200", "b200", "a100-80gb", "l4", "t4", "rtx-4090", "mi300x"]
"""Accelerators whose published figures are known here."""

Group = Literal["model", "harvest", "dictionary", "interventions", "transfer"]
Stage = Literal["harvest", "train", "interventions"]

BoundBy = Literal["arithmetic", "memory", "text", "figures", "start", "disk", "network"]
"""Matrix products and attention; moving weights and moments; tokens, tables and columns; held-out figures; what a run
of any size takes; bytes."""

KnownAs = Literal["given", "files", "assumed", "formula"]
"""Said in the request, read from model files, taken as usual, or computed."""


class PlanScaleRequest(Contract):
    """Say what a run would take before anything is started."""

    model: ModelArgument | None = Field(default=None, examples=["builtin:pocket-llama"])
    """Model whose files are here; shapes are read from them."""
    parameters: Count | None = None
    """Without files: its size, such as '70B'."""
    active_parameters: Count | None = None
    """Of a mixture of experts: parameters that one token passes."""
    n_layers: PositiveInt | None = None
    """Layers; absent, as usual for the size."""
    d_model: PositiveInt | None = None
    """Width; absent, as usual for the size."""
    model_dtype: Literal["float32", "bfloat16", "int8"] = "bfloat16"
    """Number format of the weights."""
    tokens: Count = 10_000_000
    """Tokens to read, such as '1B tokens'."""
    context: Count = 1024
    """Tokens read at once."""
    n_addresses: Annotated[int, Field(ge=1, le=1000)] = 1
    """Places that are read, evenly over the layers."""
    storage: Literal["stored", "streamed"] = "stored"
    """Keep activations on disk, or train on them as they come."""
    store_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format in the store."""
    architecture: ArchitectureName = "topk"
    """Of the dictionaries, one for each address."""
    n_latents: Count | None = None
    """Latents of each; absent, 16 per coordinate."""
    k: Annotated[int, Field(ge=1, le=4096)] = 32
    """Active latents per token."""
    train_tokens: Count | None = None
    """Tokens each dictionary trains on; absent, all that are read."""
    units: Annotated[int, Field(ge=0, le=10**6)] = 32
    """Units to intervene on."""
    strengths: Annotated[int, Field(ge=1, le=100)] = 2
    """Edits of each unit."""
    controls: Annotated[int, Field(ge=0, le=100)] = 3
    """Controls of each edit."""
    prompts: Count = 200
    """Prompts of the interventions."""
    prompt_tokens: Count = 32
    """Tokens of one prompt."""
    dataset: CorpusArgument | None = None
    """Corpus to read, for calls that are ready."""
    profile: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """Machine: artifact id of profile_env or a saved profile.json; absent, the latest here."""
    device: DeviceName | None = None
    """Also plan for accelerators that are not here."""
    n_devices: Count = 1
    """How many of them."""
    shard_hours: Annotated[FiniteFloat, Field(gt=0, le=1000)] = 4.0
    """Longest piece of work that may be lost at once."""
    disk: ByteSize | None = None
    """Disk to plan with, such as '2TB'; absent, what the profile says is free."""
    network: ByteSize | None = None
    """Bytes per second from the hub or object store, such as '100MB'; absent, no time for transfers."""
    price_per_hour: Annotated[FiniteFloat, Field(ge=0)] | None = None
    """Of one device (or the machine), in your currency."""
    watts: Annotated[FiniteFloat, Field(gt=0)] | None = None
    """Power of one device (or the machine)."""

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if self.model is None and self.parameters is None:
            raise ValueError("name a model, or give the number of parameters")
        return self


class Quantity(Contract):
    """One number of the plan with what it rests on."""

    name: str
    """What it is."""
    group: Group
    """What it belongs to."""
    value: FiniteFloat
    """The number."""
    unit: str
    """Its unit."""
    text: str
    """The number as people read it."""
    known: KnownAs
    """How it is known."""
    formula: str
    """How it was computed, with the numbers put in; or where it was read."""
    source: str = ""
    """Publication or measurement that the formula rests on."""


class StageTime(Contract):
    """How long one stage takes on one route."""

    stage: Stage
    """Which."""
    seconds: NonNegativeFloat
    """Estimate."""
    low: NonNegativeFloat
    """If all goes as well as the best figures say."""
    high: NonNegativeFloat
    """If it goes as badly as the worst do."""
    bound_by: BoundBy
    """What it waits for most."""
    basis: str
    """Speed that was used and where it comes from."""
    memory: NonNegativeFloat = 0.0
    """Bytes on the fullest device at the peak."""


class RoutePlan(Contract):
    """The whole run by one route."""

    route: RouteName
    """Which."""
    machine: str
    """On what."""
    n_devices: PositiveInt
    """Devices, or 1 for the processor."""
    fits: bool
    """Memory and disk suffice, with this software as it is."""
    memory_needed: NonNegativeFloat
    """Bytes on the fullest device at the peak."""
    memory_there: NonNegativeFloat
    """Bytes it has."""
    stages: tuple[StageTime, ...]
    """Time of each stage; empty without a measured or published speed."""
    seconds: NonNegativeFloat | None
    """All stages one after the other."""
    bottleneck: str
    """What decides time or fit."""
    n_shards: PositiveInt
    """Independent pieces of the harvest, none longer than shard_hours."""
    change: tuple[str, ...]
    """What would make it fit or faster."""
    risks: tuple[str, ...]
    """What could go wrong."""
    money: NonNegativeFloat | None = None
    """In the currency of price_per_hour."""
    energy_kwh: NonNegativeFloat | None = None
    """If watts was given."""


class PlannedCall(Contract):
    """A request that realises a stage of the plan."""

    tool: str
    """Capability."""
    arguments: dict[str, JsonValue]
    """Valid as they are, once `fill` is filled in."""
    fill: dict[str, str] = Field(default_factory=dict)
    """Arguments that only an earlier stage can give, and where they come from."""


class PlanScaleResult(Result):
    """The plan."""

    quantities: tuple[Quantity, ...]
    """Every number with its formula."""
    routes: tuple[RoutePlan, ...]
    """Ways to run it, those that fit first, the fastest first."""
    calls: tuple[PlannedCall, ...]
    """Requests that realise it, in order; empty without a model and a dataset."""
