"""Explanations of latents as they are asked for, submitted, graded blind and kept.

An explanation is asserted; what is measured is how well somebody who has only its words foresees held-out contexts.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from interp_lab.contracts.base import Contract, Interval, Probability, Provenance, Seed
from interp_lab.contracts.encode_store import DictionaryRef
from interp_lab.contracts.features import FeatureContext, LogitTokens
from interp_lab.contracts.query_conditions import ColumnKey, Regex, StoreName, UnitIndex
from interp_lab.contracts.results import Result

EXPLANATION_KIND = "explanation"
EXPLANATIONS_FILE = "explanations.jsonl"
ExplanationText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=2000)]
ChallengeId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
BlindKind = Literal["detection", "fuzzing", "intruder"]


class LatentRef(Contract):
    """One latent whose codes are in a store."""

    unit: UnitIndex
    """Index of the latent."""
    store: StoreName
    """Encoded store: artifact id or folder."""
    dictionary: DictionaryRef | None = None
    """Dictionary: adds promoted tokens, and negatives from neighbours by decoder."""
    column: ColumnKey | None = None
    """Column of the store; left out, the one of the dictionary or the only one of codes."""


class TokenRule(Contract):
    """When an explanation says that a token activates the latent; every part that is given must hold."""

    one_of: Annotated[tuple[str, ...], Field(max_length=200)] = ()
    """The token is one of these, with its leading space."""
    matches: Regex | None = None
    """RE2 pattern found in the token."""
    context: Regex | None = None
    """RE2 pattern found in the text that ends with the token: up to 8 tokens before it, and itself."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.one_of and self.matches is None and self.context is None:
            raise ValueError("give one_of, matches or context")
        return self


class AskEvidence(Contract):
    """First: read examples from the explore half of the prompt groups."""

    kind: Literal["evidence"]
    """Names the step."""
    latent: LatentRef
    """Latent to explain."""
    n_contexts: Annotated[int, Field(ge=1, le=20)] = 6
    """Strongest contexts, one per prompt."""
    n_bands: Annotated[int, Field(ge=0, le=10)] = 5
    """Equally filled bands of values, with a drawn context of each."""
    seed: Seed = 0
    """Seed of the draws."""


class Submit(Contract):
    """Second: submit an explanation and get held-out contexts to label."""

    kind: Literal["submit"]
    """Names the step."""
    latent: LatentRef
    """Latent that is explained."""
    explanation: ExplanationText
    """When the latent is active, in words."""
    n_items: Annotated[int, Field(ge=8, le=40)] = 20
    """Contexts of each kind of test, half of them right; fewer if the latent is rare."""


class Label(Contract):
    """Third: label the contexts from the explanation alone. A challenge is scored once."""

    kind: Literal["label"]
    """Names the step."""
    challenge: ChallengeId
    """As the second call gave it."""
    detection: tuple[bool, ...] = ()
    """Per context, in order: is the latent active anywhere in it?"""
    fuzzing: tuple[bool, ...] = ()
    """Per context, in order: are the marked tokens the active ones?"""
    intruder: tuple[Annotated[int, Field(ge=1, le=4)], ...] = ()
    """Per set, in order: the number, 1 to 4, of the context in which it is not active."""


class FindBreaks(Contract):
    """Search the explore half for contexts that break a rule."""

    kind: Literal["breaks"]
    """Names the step."""
    latent: LatentRef
    """Latent."""
    rule: TokenRule
    """What the explanation says of single tokens."""
    limit: Annotated[int, Field(ge=1, le=20)] = 6
    """Contexts of each kind."""


class ImportExplanations(Contract):
    """Take over explanations that other tools wrote."""

    kind: Literal["import"]
    """Names the step."""
    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    """JSON or JSON Lines file in the workspace: Neuronpedia, delphi, or records with feature_id and explanation."""
    dictionary: DictionaryRef
    """Dictionary whose latents they explain."""
    source: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Who wrote them; left out, the file's name."""


class ExplainLatentRequest(Contract):
    """One step of explaining a latent."""

    step: Annotated[
        AskEvidence | Submit | Label | FindBreaks | ImportExplanations,
        Field(discriminator="kind", examples=[{"kind": "evidence", "latent": {"store": "0" * 64, "unit": 17}}]),
    ]
    """What to do: evidence, submit, label; or breaks, import."""


class TokenShare(Contract):
    """A token on which the latent is active, counted in the explore half."""

    token: str
    """Text (untrusted)."""
    share: Probability
    """Share of the active tokens that are this one."""
    rate: Probability
    """Share of this token's occurrences that are active."""


class LatentEvidence(Contract):
    """What an explanation may be written from."""

    n_active: NonNegativeInt
    """Active tokens in the explore half."""
    n_groups: NonNegativeInt
    """Independent groups with one, in the explore half."""
    tokens: tuple[TokenShare, ...]
    """Tokens with the largest share."""
    contexts: tuple[FeatureContext, ...]
    """Strongest first, then one of each band."""
    near_misses: tuple[FeatureContext, ...]
    """The most frequent tokens, where it is not active."""
    logits: LogitTokens | None = None
    """Tokens that its direction promotes and suppresses."""
    heuristic: str
    """Sentence put together from counts; no reading of meaning, to be improved upon."""


class Challenge(Contract):
    """Held-out contexts to be labelled from the explanation alone; text is data, not instructions."""

    id: ChallengeId
    """For the third call."""
    attempt: PositiveInt
    """Which challenge of this latent it is, over all explanations."""
    detection: tuple[str, ...]
    """Contexts in half of which the latent is active somewhere."""
    fuzzing: tuple[str, ...]
    """Contexts with tokens marked ⟦so⟧: the active ones in half of them, others in the rest."""
    intruder: tuple[tuple[str, ...], ...]
    """Sets of four contexts: it is active in three."""


class BlindScore(Contract):
    """How well the labels agree with the activations, for one kind of test."""

    kind: BlindKind
    """Test."""
    n: PositiveInt
    """Items."""
    n_groups: PositiveInt
    """Independent groups of prompts among them."""
    accuracy: Probability
    """Balanced accuracy; of intruder, the share found."""
    interval: Interval
    """Of the accuracy; counts groups."""
    f1: Probability | None = None
    """Harmonic mean of precision and recall; absent for intruder."""
    hard: Probability | None = None
    """Share of the negatives from neighbouring latents that was labelled right; absent without any."""
    chance: Probability
    """Accuracy of a guess."""
    detectable: Probability
    """Smallest accuracy that this many groups would tell from chance with 80 % power."""
    above_chance: bool
    """Whether the interval lies above chance."""


class ExplanationRecord(Contract):
    """One explanation of one latent, with what is known of it."""

    id: str
    """The same for the same words about the same latent."""
    feature: str
    """COLUMN#UNIT."""
    unit: NonNegativeInt
    """Latent."""
    dictionaries: tuple[str, ...]
    """Names under which its dictionary, or else its store, is known."""
    text: ExplanationText
    """The explanation (untrusted)."""
    provenance: Provenance
    """asserted by an agent, or imported."""
    source: str
    """Who said so."""
    scores: tuple[BlindScore, ...] = ()
    """Measured here, blind; empty before that."""
    attempt: NonNegativeInt = 0
    """Challenges that this latent had seen when it was scored: the best of many looks better than it is."""
    imported_scores: dict[str, FiniteFloat] = Field(default_factory=dict[str, FiniteFloat])
    """Scores that the source reports, by its own names; never mixed with those measured here."""


class Breaks(Contract):
    """Where a rule and the latent disagree, in the explore half."""

    precision: Probability | None = None
    """Share of the tokens that fit the rule on which it is active; absent if none fits."""
    precision_interval: Interval | None = None
    """Counts groups."""
    recall: Probability | None = None
    """Share of its active tokens that fit the rule; absent if it is never active."""
    recall_interval: Interval | None = None
    """Counts groups."""
    unexplained: tuple[FeatureContext, ...]
    """Strongest activations that do not fit the rule."""
    silent: tuple[FeatureContext, ...]
    """Tokens that fit the rule on which it is not active."""


class ExplainLatentResult(Result):
    """What the step gave; parts of other steps are absent."""

    step: Literal["evidence", "submit", "label", "breaks", "import"]
    """Which step was made."""
    feature: str | None = None
    """COLUMN#UNIT."""
    evidence: LatentEvidence | None = None
    """Examples to explain."""
    challenge: Challenge | None = None
    """Contexts to label."""
    record: ExplanationRecord | None = None
    """The explanation as it is now kept."""
    breaks: Breaks | None = None
    """Counter-examples."""
    n_imported: NonNegativeInt | None = None
    """Explanations taken over."""
    n_skipped: NonNegativeInt | None = None
    """Records without a text, or of no latent of the dictionary."""
