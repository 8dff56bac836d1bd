"""evaluate_sae as it is asked, planned and answered: which dictionary, on which activations, against what."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from interp_lab.contracts.base import Contract, Seed
from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.contracts.evaluation_report import Estimate, TrainingOverlap
from interp_lab.contracts.inspect import DictionaryRef, ModelArgument
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result
from interp_lab.contracts.train_sae import StoreSource, StoresSource

SpuriousLabel = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}(=.{1,100})?$")]

_CORPUS = WithJsonSchema({"description": "What to read: 'builtin:NAME', a path, or an object as in harvest."})


class TextSource(Contract):
    """A model that reads a corpus while the dictionary is measured on what it computes."""

    kind: Literal["stream"] = "stream"
    """Says that activations are computed as they are needed."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model that the dictionary belongs to."""
    dataset: Annotated[CorpusArgument, _CORPUS] = Field(examples=["builtin:person-name"])
    """What to read."""


class WorldSource(Contract):
    """A sparse world with known truth, of kind dictionary or absorption."""

    kind: Literal["world"] = "world"
    """Says that the features behind the activations are known."""
    world: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(examples=["worlds/dictionary-7"])
    """Folder of the world in the workspace."""


def _source_from_text(value: Any) -> Any:
    return {"kind": "store", "store": value} if isinstance(value, str) else value


EvaluationSource = Annotated[
    Annotated[StoreSource | StoresSource | TextSource | WorldSource, Field(discriminator="kind")],
    BeforeValidator(
        _source_from_text, json_schema_input_type=StoreSource | StoresSource | TextSource | WorldSource | str
    ),
]
"""Where activations come from; text alone names a store."""


class EvaluateSaeRequest(JobRequest):
    """Measure one dictionary, beside a random one of the same size and sparsity."""

    dictionary: DictionaryRef = Field(examples=["dictionaries/resid_post.2"])
    """Dictionary: the id of its artifact, or a folder in the workspace."""
    source: EvaluationSource
    """Activations to measure on: the artifact id of a store, or an object."""
    max_tokens: Annotated[int, Field(ge=256, le=2**22)] = 16_384
    """Tokens that are measured, about: of more, whole prompts are drawn by seed until there are so many."""
    part: Literal["held_out", "all"] = "held_out"
    """held_out: leave out the prompts that it was trained on, where its record tells which these are."""
    skip_special: bool = True
    """Leave out tokens that stand for no text; they are not replaced either."""
    splice: bool = True
    """Stream only: also measure what becomes of the model's predictions with the reconstruction in place."""
    criteria: Annotated[tuple[PromptArgument, ...], Field(max_length=24)] = ()
    """Stream only: scored prompts for sparse probing, and for targeted probe perturbation if there are two or more."""
    spurious: Annotated[tuple[SpuriousLabel, ...], Field(max_length=8)] = ()
    """With criteria: labels of their prompts, NAME or NAME=VALUE, for spurious-correlation removal."""
    threshold: FiniteFloat = 0.5
    """Score from which a prompt of a criterion is a positive."""
    seed: Seed = 0
    """Seed of the sample, the random dictionary, the split of criteria and random latents."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.criteria and self.source.kind != "stream":
            raise ValueError("criteria need a model: give a source of kind stream")
        if self.spurious and not self.criteria:
            raise ValueError("spurious names labels of the prompts of criteria: give criteria")
        return self


class ComparedFigure(Contract):
    """One figure of the dictionary beside that of the random dictionary."""

    name: str
    """What was measured."""
    dictionary: Estimate
    """Of the dictionary."""
    random: Estimate | None = None
    """Of a random dictionary of the same size and sparsity on the same tokens."""


class EvaluateSaeResult(Result):
    """The main figures; the report has all of them."""

    place: str
    """Where the dictionary reads and, if elsewhere, writes."""
    n_tokens: int
    """Tokens that were measured."""
    n_groups: int
    """Independent prompt groups that they are of."""
    training_overlap: TrainingOverlap
    """Whether it was trained on prompts that were measured."""
    figures: tuple[ComparedFigure, ...]
    """Main figures in the order of the report."""


class EvaluateSaePlan(Contract):
    """What an evaluation would do and cost; what is not known is left out, never guessed."""

    architecture: str
    """Which latents fire."""
    n_latents: NonNegativeInt
    """Latents."""
    n_tokens_at_most: NonNegativeInt
    """Tokens that are measured, at most."""
    measures: tuple[str, ...]
    """What is measured."""
    passes: NonNegativeInt
    """Times that the model reads these tokens; 0 without a model."""
    forward_tokens: NonNegativeInt
    """Tokens through the model over all passes and criteria, at most; padding apart."""
    peak_bytes: NonNegativeInt | None
    """Memory at the peak, an upper estimate; absent for a model that is not on this machine yet."""
