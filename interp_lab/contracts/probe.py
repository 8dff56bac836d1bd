"""A linear probe as it is asked for and answered: what activations say linearly about a target, beside its controls."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from interp_lab.contracts.base import Contract, Grade, Probability, Provenance, Seed
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.query_conditions import ColumnKey, StoreName
from interp_lab.contracts.results import Result
from interp_lab.contracts.store import StoredModel

ProbeTask = Literal["regression", "binary", "multiclass"]
ProbePooling = Literal["max", "mean", "last", "span", "none"]
TargetName = Annotated[str, StringConstraints(pattern=r"^(score|(label|metric):[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})$")]
ControlName = Literal["shuffled_targets", "random_directions", "constant_guess", "surface", "words", "token_identity"]


class TrainProbeRequest(JobRequest):
    """Train linear probes for one target on columns of an activation store, one probe per column."""

    store: StoreName = Field(examples=["activations/person-name"])
    """Artifact id of an activation store, or the path of its folder in the workspace."""
    target: TargetName = Field("score", examples=["score", "label:topic", "metric:loss"])
    """What to predict: the prompts' score, a label of prompts or rows, or a metric of rows."""
    addresses: Annotated[tuple[ColumnKey, ...], Field(max_length=200)] = ()
    """Columns to probe, for example ['resid_post.2', 'resid_post.2/NAME']; empty means every column of the store."""
    pooling: ProbePooling = "max"
    """How rows become one example per prompt; 'none' makes every row an example (tokens, environment steps)."""
    task: Literal["auto", "regression", "binary", "multiclass"] = "auto"
    """'auto': score is binary at the threshold; names, booleans and labels of two values are classes; other numbers are
    regressed on."""
    threshold: FiniteFloat = 0.5
    """A number at or above it is positive, where the task is binary."""
    positive: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """This value of the label against all others, as a binary task."""
    max_examples: Annotated[int, Field(ge=50, le=200_000)] = 20_000
    """Of more examples, this many drawn by the seed are used."""
    seed: Seed = 0
    """Seed of the split, the folds and every control."""


class ProbeScore(Contract):
    """A score on examples that did not train the probe."""

    value: FiniteFloat
    """In the result's unit."""
    low: FiniteFloat
    """Lower bound of the 95 % interval, over independent groups."""
    high: FiniteFloat
    """Upper bound."""
    n_examples: NonNegativeInt
    """Examples."""
    n_groups: NonNegativeInt
    """Independent groups that they come from."""


class ProbedColumn(Contract):
    """One column of the sweep."""

    address: str
    """Column of the store."""
    explore: FiniteFloat
    """Score on explore examples, by which the best column is chosen."""
    confirm: ProbeScore
    """Score on confirm examples; it chooses nothing."""
    p_holm: Probability
    """Chance of a confirm score this good without information, corrected (Holm) for every column of the sweep."""
    penalty: FiniteFloat
    """Regularisation that cross-validation on the training examples chose."""


class ProbeControl(Contract):
    """The same measurement on the same confirm examples where activations play no part or the target means nothing."""

    name: ControlName
    """shuffled_targets: probes trained on targets dealt anew by group. random_directions: fitted read-outs of random
    directions. constant_guess: looks at nothing. surface: length and other countable properties of the text, or
    position and form of the token. words: which words the prompt has. token_identity: which token the row has."""
    score: FiniteFloat
    """Mean over draws, or the one score."""
    low: FiniteFloat
    """Smallest draw, or lower bound of the 95 % interval; the score itself where neither exists."""
    high: FiniteFloat
    """Largest draw, or upper bound."""
    draws: PositiveInt = 1
    """Repetitions."""


class ProbeCounts(Contract):
    """How the examples were split; groups stay whole."""

    train: NonNegativeInt
    """Examples that train the probes and choose their regularisation."""
    explore: NonNegativeInt
    """Examples that choose the column."""
    confirm: NonNegativeInt
    """Examples that score it."""
    groups: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    """Independent groups in each, in this order."""
    left_out: NonNegativeInt
    """Examples without a usable target, or beyond max_examples."""


class TrainProbeResult(Result):
    """The sweep in short; the report has every column, the direction has the probe."""

    store: str
    """As asked."""
    target: str
    """As asked."""
    task: ProbeTask
    """What kind of probe."""
    unit: Literal["R²", "AUROC", "balanced accuracy"]
    """Unit of every score here."""
    classes: tuple[str, ...]
    """Classes by output (binary: negative, positive); empty for a regression."""
    pooling: ProbePooling
    """As asked."""
    counts: ProbeCounts
    """Examples and groups of each part."""
    best: ProbedColumn
    """The column with the best explore score."""
    p_value: Probability
    """Of the best column's confirm score; needs no correction, because explore examples chose the column."""
    beats_surface: bool
    """Whether its interval lies above the score of every control that looks at the text alone."""
    grade: Grade | None
    """How far the evidence for a binary target carries; absent for other tasks. A probe is never validated."""
    reasons: tuple[str, ...]
    """Reason codes of the grade."""
    controls: tuple[ProbeControl, ...]
    """For the best column, on the same confirm examples."""
    columns: tuple[ProbedColumn, ...]
    """One row per column, in the order of the store; of many, the strongest on explore examples."""


class ProbeReport(TrainProbeResult):
    """Everything that was measured."""

    score_method: str
    """How the interval of a confirm score was computed."""
    penalties: dict[str, FiniteFloat]
    """Penalty → mean loss on held-out folds of the training examples, for the best column."""
    model: StoredModel | None
    """The model that the store is of."""
    seed: Seed
    """As asked."""
    job_id: str | None
    """Job."""
    code_version: str
    """Hash of the source."""


class Direction(Contract):
    """A linear function of activations; the file direction.safetensors beside it holds the numbers.

    Tensors, float32: `directions` (n_outputs, width) and `intercepts` (n_outputs,), so that a score is
    `activation · direction + intercept` in raw activation units; for a binary target also `mean_difference` (width,),
    the mean training activation of positives less that of negatives.
    """

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    method: str
    """How it was made."""
    address: str
    """Column of the store that it reads."""
    space: Literal["activations", "latents"]
    """Whether it can be added at the address as it is, or is a mix of a dictionary's latents."""
    width: PositiveInt
    """Length of every direction."""
    outputs: tuple[str, ...]
    """What each direction says when it is high."""
    norms: tuple[FiniteFloat, ...]
    """Length of each direction."""
    projection_std: tuple[FiniteFloat, ...]
    """Standard deviation of training activations along each unit-length direction: a natural step to steer by."""
    activation_norm: FiniteFloat
    """Mean length of the training activations."""
    target: str
    """What it predicts."""
    pooling: ProbePooling
    """How rows became examples."""
    penalty: FiniteFloat
    """Regularisation."""
    confirm: ProbeScore
    """Score on examples that had no part in making or choosing it."""
    unit: str
    """Unit of the score."""
    controls: tuple[ProbeControl, ...]
    """The same score where no information should be."""
    grade: Grade | None
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Why."""
    provenance: Provenance = "measured"
    """Where the evidence comes from."""
    model: StoredModel | None
    """The model that the store is of."""
    store: str
    """Store that it was trained on."""


class TrainProbePlan(Contract):
    """What the probes would cost."""

    n_rows: NonNegativeInt
    """Rows of the store."""
    n_prompts: NonNegativeInt
    """Prompts of the store."""
    n_groups: NonNegativeInt
    """Independent groups of them."""
    task: ProbeTask
    """What kind of probe."""
    classes: tuple[str, ...]
    """Classes by output; empty for a regression."""
    counts: ProbeCounts
    """Examples of each part."""
    columns: tuple[str, ...]
    """Columns that would be probed."""
    peak_bytes: NonNegativeInt
    """Memory at the peak, roughly."""
