"""Dossier as it is asked and answered: everything that a workspace knows of a model and a criterion."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Grade, Provenance
from interp_lab.contracts.dossier_statements import DossierExplanation, ImportedStatement
from interp_lab.contracts.inspect import Criterion
from interp_lab.contracts.operations import Cursor
from interp_lab.contracts.results import Result

DOSSIER_KIND: Final = "dossier"

DossierSection = Literal[
    "claims",
    "transitions",
    "contradictions",
    "disagreements",
    "negatives",
    "hypotheses",
    "explanations",
    "imported",
    "runs",
]
"""What is known, in the order a reader needs it."""

ObservedBy = Literal["association", "intervention"]
"""How a grade came about: a correlation on prompts, or an edit of the model."""


class DossierRequest(Contract):
    """Ask for what is known; without model and criterion, which dossiers there are."""

    model: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Id of the model, or the start of its weights hash as an earlier answer gave it."""
    criterion: Criterion | None = None
    """The criterion, as the runs asked it; case and spaces do not matter."""
    section: DossierSection | None = None
    """Only this part, page by page; absent gives the start of every part."""
    limit: Annotated[int, Field(ge=1, le=50)] = 5
    """Entries of each part."""
    cursor: Cursor | None = None
    """next_cursor of the page before."""
    imported: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...], Field(max_length=10)] = ()
    """Report or dossier files of the interp-lab package of PyPI, in the workspace: listed beside, never graded."""
    publish: bool = False
    """Also write the whole dossier as an artifact: JSON, Markdown and HTML."""


class AssociationSeen(Contract):
    """A correlation as one run measured it."""

    auroc: FiniteFloat
    """On confirm prompts, or on explore prompts where there are none; above 0.5 = higher on positives."""
    low: FiniteFloat | None
    """Lower end of its 95 % interval."""
    high: FiniteFloat | None
    """Upper end."""
    on_confirm_prompts: bool
    """Measured on prompts that had no part in choosing the unit; says nothing of what they showed."""
    explore_q: FiniteFloat | None
    """Over every coordinate tested."""


class EffectSeen(Contract):
    """An effect as one run measured it."""

    metric: str
    """The behaviour."""
    edit: str
    """What was done."""
    effect: FiniteFloat
    """Mean change, positive if more of the unit raises it, on the part that grades."""
    effect_low: FiniteFloat
    """Lower end of its 95 % interval."""
    effect_high: FiniteFloat
    """Upper end."""
    to_exceed: FiniteFloat
    """Size that it has to exceed to count: its control's, or the least that matters if that is larger."""
    beyond_low: FiniteFloat
    """Lower end of the interval of what it exceeds that by, either way; leaves 0 out only if it does."""
    beyond_high: FiniteFloat
    """Upper end."""
    q: FiniteFloat
    """Over all effects tested together."""
    on_confirm_prompts: bool
    """Measured on confirm prompts; whether it held there, `q` and `beyond_low` to `beyond_high` say."""
    detectable: FiniteFloat
    """Effect that this many groups find with 80 % power, `to_exceed` included."""
    targets: tuple[str, ...]
    """Words that count as the behaviour (untrusted text)."""
    alternatives: tuple[str, ...]
    """Words they are compared with (untrusted text)."""


class Observation(Contract):
    """What one run found of one unit."""

    run: str
    """Artifact of the report."""
    at: AwareDatetime
    """When the report was finished."""
    by: ObservedBy
    """Correlation or edit."""
    investigator: str
    """Who ran it, where the server was told."""
    grade: Grade
    """As that run graded it."""
    reasons: tuple[str, ...]
    """Reason codes of that run."""
    sign: Literal[-1, 0, 1]
    """Higher or lower on positives, or the sign of an effect that exceeds its control; 0 where none does."""
    dataset_sha256: str
    """The prompts."""
    seed: NonNegativeInt
    """Seed of the split."""
    n_groups: NonNegativeInt
    """Independent groups that the graded number rests on."""
    association: AssociationSeen | None = None
    """Of a correlation."""
    effect: EffectSeen | None = None
    """Of an edit: the kind with the clearest effect on explore prompts."""
    pointer: str
    """Where in report.json of that artifact it stands."""
    provenance: Provenance = "measured"
    """Where the numbers come from."""


class DossierClaim(Contract):
    """One unit and how its claim stands after all runs."""

    unit: str
    """The unit, by the same id in every run."""
    name: str
    """As the last report calls it."""
    grade: Grade
    """How the claim stands now."""
    rests_on: str
    """Artifact of the run that decides it."""
    why: str
    """By which rule."""
    n_runs: NonNegativeInt
    """Runs that saw it."""
    latest: Observation
    """The run that decides."""


class GradeTransition(Contract):
    """A standing that changed."""

    unit: str
    """The unit."""
    before: Grade
    """Standing before."""
    after: Grade
    """Standing after."""
    direction: Literal["rose", "fell", "turned"]
    """turned: to or from contradicted."""
    at: AwareDatetime
    """When."""
    run: str
    """Artifact of the run that changed it."""
    by: ObservedBy
    """Correlation or edit."""
    changed: tuple[str, ...]
    """What was different from the run before of the same kind."""


class Contradiction(Contract):
    """Two edits of one unit that each exceed their control and disagree in sign on one behaviour."""

    unit: str
    """The unit."""
    metric: str
    """The behaviour."""
    raised: Observation
    """The run in which more of it raises the behaviour."""
    lowered: Observation
    """The run in which it lowers it."""


DisagreementKind = Literal["opposite_correlations", "grades_differ", "effect_not_repeated"]


class Disagreement(Contract):
    """Runs that do not agree and do not settle it."""

    unit: str
    """The unit."""
    kind: DisagreementKind
    """What they disagree on."""
    text: str
    """In words."""
    runs: tuple[str, ...]
    """Artifacts."""
    investigators: tuple[str, ...]
    """Who ran them, where known."""


class NegativeResult(Contract):
    """Something that was looked for and not found, or could not be."""

    run: str
    """Artifact, or job that ended without one."""
    unit: str | None
    """The unit; absent where it is about the run as a whole."""
    code: str
    """Reason code."""
    text: str
    """In words, with what the run could have seen."""


class RegisteredHypothesis(Contract):
    """A hypothesis and what came of it."""

    id: str
    """Its hash."""
    registered_at: AwareDatetime
    """When."""
    statement: str
    """What was said beforehand."""
    runs: tuple[str, ...]
    """Artifacts of runs that named it."""
    verdicts: tuple[str, ...]
    """What each found."""


class DossierRun(Contract):
    """One run, also one that ended without a result."""

    run: str
    """Artifact, or job id of one that published nothing."""
    job_id: str | None
    """Job."""
    kind: str
    """Kind of the artifact, or the capability of a job that published nothing."""
    at: AwareDatetime
    """When it ended."""
    investigator: str
    """Who ran it, where the server was told."""
    state: Literal["succeeded", "failed", "cancelled"]
    """How it ended."""
    headline: str
    """Its first line (untrusted text where it quotes)."""
    dataset: str
    """Name of the prompts."""
    seed: NonNegativeInt | None
    """Seed of the split."""
    n_claims: NonNegativeInt
    """Units that it graded."""
    about: Literal["question", "model"] = "question"
    """model: a graph of a single prompt of this model, which is about no criterion."""


class DossierEntry(Contract):
    """One dossier there is."""

    model: str
    """Id of the model."""
    weights: str
    """What tells its weights apart."""
    criterion: str
    """The criterion."""
    n_runs: NonNegativeInt
    """Runs with a report."""
    last: AwareDatetime
    """When the last one ended."""


class DossierParts(Contract):
    """The parts of a dossier: all of them, or the page asked for."""

    claims: tuple[DossierClaim, ...] = ()
    """Strongest standing first."""
    transitions: tuple[GradeTransition, ...] = ()
    """Latest first."""
    contradictions: tuple[Contradiction, ...] = ()
    """Edits that disagree in sign."""
    disagreements: tuple[Disagreement, ...] = ()
    """Other things runs do not agree on; two opposite correlations are two untested hypotheses."""
    negatives: tuple[NegativeResult, ...] = ()
    """What was not found, and jobs that failed or were cancelled."""
    hypotheses: tuple[RegisteredHypothesis, ...] = ()
    """Registered beforehand."""
    explanations: tuple[DossierExplanation, ...] = ()
    """What was said of the units, with blind scores."""
    imported: tuple[ImportedStatement, ...] = ()
    """What files of other tools say."""
    runs: tuple[DossierRun, ...] = ()
    """Latest first."""


class DossierCounts(Contract):
    """How many entries each part has in all."""

    claims: NonNegativeInt = 0
    """Units."""
    transitions: NonNegativeInt = 0
    """Changes of standing."""
    contradictions: NonNegativeInt = 0
    """Units with effects of both signs."""
    disagreements: NonNegativeInt = 0
    """Unsettled differences."""
    negatives: NonNegativeInt = 0
    """Things not found."""
    hypotheses: NonNegativeInt = 0
    """Registered."""
    explanations: NonNegativeInt = 0
    """Of the units."""
    imported: NonNegativeInt = 0
    """Statements of other tools."""
    runs: NonNegativeInt = 0
    """Runs, those that failed among them."""


class Dossier(Contract):
    """The whole dossier, published as dossier.json; derived from artifacts and jobs, never the other way round."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    model: str
    """Id of the model."""
    weights: str
    """What tells its weights apart: a hash, or a commit."""
    criterion: str
    """The criterion."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    grades: dict[Grade, NonNegativeInt]
    """Claims by standing."""
    investigators: tuple[str, ...]
    """Who took part, where known."""
    unreadable: tuple[str, ...]
    """Artifacts that a newer version wrote or that are damaged."""
    parts: DossierParts
    """Everything."""
    counts: DossierCounts
    """How much of it."""


class DossierResult(Result):
    """One page of a dossier, or the list of dossiers."""

    model: str | None = None
    """Id of the model."""
    weights: str | None = None
    """What tells its weights apart."""
    criterion: str | None = None
    """The criterion."""
    grades: dict[Grade, NonNegativeInt] | None = None
    """Claims by standing."""
    investigators: tuple[str, ...] = ()
    """Who took part, where known."""
    counts: DossierCounts | None = None
    """How many entries each part has in all."""
    parts: DossierParts | None = None
    """The page."""
    dossiers: tuple[DossierEntry, ...] | None = None
    """The dossiers there are, for a request without model and criterion."""
    next_cursor: str | None = None
    """Give it back with the same request for the next page."""
