"""score_prompts as it is asked and answered: what a classifier of text pairs says of prompts. Never a label."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from interp_lab.contracts.base import Contract, Interval, Probability
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.prompt_audit import Side
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result

SCORES_KIND: Final = "prompt_scores"
SCORES_FILE: Final = "scores.jsonl"
WHAT_IT_IS: Final = (
    "A model score: what another model says of the words alone. It is no label and no evidence; nothing that is "
    "ranked, confirmed or graded reads it."
)


class ScorePromptsRequest(JobRequest):
    """Let a model for natural language inference say how far each prompt entails the criterion."""

    model: ModelArgument = Field(examples=["models/nli"])
    """Classifier of text pairs on this machine: a folder of the workspace, or a hub id that was downloaded before."""
    dataset: PromptArgument = Field(examples=["builtin:question"])
    """Labelled prompts."""
    criterion: Criterion
    """What the positives have and the negatives lack, in plain words."""
    hypothesis: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)] | None = None
    """Sentence that a positive should entail; the criterion itself if left out."""
    entailment_label: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Label of the classifier that says entailment, where its configuration does not tell."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    n_doubtful: Annotated[int, Field(ge=0, le=50)] = 5
    """Rows of each side to list: positives that it denies most, negatives that it affirms most."""

    def sentence(self) -> str:
        """Return the sentence that a positive should entail."""
        words = self.hypothesis or self.criterion.strip()
        return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


class ScorePromptsPlan(Contract):
    """What a dry run says."""

    n_prompts: PositiveInt
    """Prompts to read."""
    hypothesis: str
    """Sentence that each is asked to entail."""
    entailment_label: str
    """Label that says so."""


class DoubtfulRow(Contract):
    """A prompt whose label the classifier does not share."""

    id: str
    """Id of the prompt."""
    side: Side
    """Its label in the dataset, which stays."""
    model_score: Probability
    """Probability of entailment."""
    text: str
    """Its beginning (untrusted text)."""


class ScorePromptsResult(Result):
    """How far a classifier agrees with the labels, and where it does not."""

    kind: Literal["model_score"] = "model_score"
    """What these numbers are: no labels, no evidence."""
    dataset: str
    """Where the prompts come from."""
    dataset_sha256: str
    """Hash over every field of every prompt."""
    scored_by: str
    """The classifier, with its commit or the hash of its files."""
    hypothesis: str
    """Sentence that each prompt was asked to entail."""
    entailment_label: str
    """Label that says so."""
    n_prompts: PositiveInt
    """Prompts."""
    n_groups: PositiveInt
    """Independent groups of them."""
    n_cut: NonNegativeInt
    """Prompts that were too long and were read up to what the classifier takes."""
    auroc: FiniteFloat | None
    """How well the score tells positives from negatives; absent where one side has fewer than two groups."""
    interval: Interval | None
    """Of that; counts groups."""
    mean_positive: Probability
    """Mean score of the positives."""
    mean_negative: Probability
    """Mean score of the negatives."""
    doubtful: tuple[DoubtfulRow, ...]
    """Rows on the other side of 0.5 than their label, furthest first; read them, the classifier may be wrong."""
