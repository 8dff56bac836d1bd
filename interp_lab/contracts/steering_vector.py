"""make_steering_vector as it is asked and answered, and the record that a steering vector carries with it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, StringConstraints

from interp_lab.contracts.base import Contract, Grade, Probability, Provenance, Seed
from interp_lab.contracts.dictionaries import DictionaryRef
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result
from interp_lab.points import Address

VECTOR_KIND: Final = "direction"
"""The artifact's kind: whatever reads a saved direction reads a steering vector."""

ContrastMethod = Literal["difference_of_means", "contrastive_pca", "probe"]
"""Mean of positives less mean of negatives; the direction along which paired prompts differ most; a linear probe's."""

ArtifactId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ContrastSource(Contract):
    """A direction from how explore positives differ from explore negatives."""

    kind: Literal["contrast"] = "contrast"
    """Names the source."""
    method: ContrastMethod = "difference_of_means"
    """How it is made."""
    addresses: Annotated[tuple[Address, ...], Field(max_length=100)] = ()
    """Where to look; of several, explore prompts choose. Empty means resid_post of every layer but the last."""


class LatentSource(Contract):
    """The direction that a latent of a dictionary writes."""

    kind: Literal["latent"]
    """Names the source."""
    dictionary: DictionaryRef
    """Its dictionary."""
    index: NonNegativeInt
    """Its index."""


class FileSource(Contract):
    """A direction that another tool wrote: a GGUF control vector, or a steering vector in JSON."""

    kind: Literal["file"]
    """Names the source."""
    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    """File of the workspace."""
    layer: NonNegativeInt | None = None
    """Of a control vector with several layers, which; the output of that block."""


class ReportSource(Contract):
    """A direction that an inspection of the same prompts learned and ranked."""

    kind: Literal["report"]
    """Names the source."""
    report: ArtifactId
    """Its artifact."""
    rank: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Which of its rows."""


VectorSource = Annotated[ContrastSource | LatentSource | FileSource | ReportSource, Field(discriminator="kind")]


class MakeSteeringVectorRequest(JobRequest):
    """Make a direction to steer with, with its held-out association, its provenance, and files for other tools."""

    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model it is for."""
    criterion: Criterion
    """What it is to bring about, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:person-name"])
    """Scored prompts; only explore prompts make the direction, the others say how well it does."""
    source: VectorSource = ContrastSource()
    """Where the direction comes from."""
    pooling: Pooling = "last"
    """How token values become one value per prompt."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    steered: ArtifactId | None = None
    """Report of a steer run of this very direction, whose grade it then carries."""
    require_validated: bool = False
    """Refuse to write a vector that is not validated."""
    seed: Seed = 0
    """Seed of the explore/confirm split."""


class HeldOut(Contract):
    """How well the coordinate along the direction tells positives from negatives, on prompts that did not make it."""

    auroc: Probability
    """As measured: above 0.5 means higher on positives."""
    low: Probability
    """Lower end of its 95 % interval."""
    high: Probability
    """Upper end."""
    n_groups: NonNegativeInt
    """Independent groups, of the label with fewer."""


class SteeringVector(Contract):
    """The record beside the numbers, direction.json: what the direction is, and how far the evidence carries.

    The tensor `directions` (1, width) of direction.safetensors is a unit vector. Strength 1 adds `residual_norm` of it.
    """

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    address: str
    """Where it is added, for example 'resid_post.2'."""
    method: str
    """How it was made."""
    criterion: str
    """What it is to bring about."""
    width: NonNegativeInt
    """Its length in numbers."""
    residual_norm: PositiveFloat
    """Mean length of the residual stream there, over text tokens of explore prompts: one unit of strength."""
    raw_norm: PositiveFloat
    """Length of the direction as it was made, before it was scaled to 1."""
    explore_auroc: Probability | None
    """On the prompts that made it; it looks better there than it is."""
    held_out: HeldOut | None
    """On the others; absent if there were too few."""
    grade: Grade
    """How far the evidence carries; 'validated' only from a steer run of this very direction."""
    reasons: tuple[str, ...]
    """Reason codes."""
    provenance: Provenance
    """measured: made here; imported: read from a file."""
    unvalidated_warning: str | None
    """What to tell whoever uses it, unless it is validated."""
    model: ModelFacts
    """The model it was made for."""
    dataset: str
    """Name and hash of the prompts."""
    seed: Seed
    """Seed of the split that told which prompts made it."""
    n_positive: NonNegativeInt
    """Positives among the prompts, which the split rests on too."""
    source: dict[str, str]
    """What it was made from."""
    steered: str | None = None
    """Steer report that the grade comes from."""
    direction_sha256: str
    """Hash of the float32 numbers."""


class MakeSteeringVectorResult(Result):
    """The short form of the record."""

    address: str
    """Where it is added."""
    method: str
    """How it was made."""
    residual_norm: PositiveFloat
    """One unit of strength, in the model's own values."""
    held_out: HeldOut | None
    """How well it tells positives from negatives on prompts that did not make it."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Reason codes."""
    files: tuple[str, ...]
    """Files of the artifact."""


class SteeringVectorPlan(Contract):
    """What would be made."""

    addresses: tuple[str, ...]
    """Where it would be looked for."""
    n_prompts: NonNegativeInt
    """Prompts."""
    n_passes: NonNegativeInt
    """Runs of the model, a few per prompt."""
    seconds: PositiveFloat | None = None
    """Estimated seconds on an otherwise idle processor core; absent before the model is on this machine."""
    seconds_source: str | None = None
    """What the estimate rests on."""
    peak_bytes: NonNegativeInt | None = None
    """Estimated memory at the peak."""
