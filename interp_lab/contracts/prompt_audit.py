"""What an audit of a prompt set says: what solves it without a model, what it could show, what to add and to drop."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Interval, Probability, Seed
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result

Side = Literal["positive", "negative"]
Usability = Literal["usable", "weak", "unusable"]
"""usable: nothing found against it; weak: read the issues first; unusable: no claim can rest on it."""

BAG_OF_WORDS: Final = "bag_of_words"
"""The one property that may be the criterion itself: where it solves a dataset, claims are about words, not void."""


class SurfaceScore(Contract):
    """How far one property of the texts gets without any model."""

    name: str
    """Property: length, punctuation, digits, uppercase, bag_of_words, template, or all numbers jointly."""
    auroc: Probability
    """AUROC of the property for the label; the raw number if it was ranked, so below 0.5 means higher on negatives."""
    interval: Interval
    """Clustered by prompt group."""
    fitted: bool
    """A linear model was fitted and scored on groups that it had not seen; else the number itself was ranked."""
    verdict: Literal["clean", "associated", "solves"]
    """solves: this alone tells positives from negatives, so no association on the set means anything; of bag_of_words,
    that a claim on the set is one about words."""


class SetIssue(Contract):
    """One thing that is wrong or weak about the set."""

    severity: Literal["error", "warning", "info"]
    """error: the set cannot carry a claim."""
    code: str
    """Stable code."""
    message: str
    """What was found, with the numbers."""


class Power(Contract):
    """What this set could show at best."""

    n_groups: NonNegativeInt
    """Independent groups: near-duplicates, pairs, templates and named groups joined."""
    n_mixed_groups: NonNegativeInt
    """Groups with both labels; each counts on both sides."""
    n_confirm_positive_groups: NonNegativeInt
    """Groups with positives among the rows that confirm; 0 if there are too few groups to keep any back."""
    n_confirm_negative_groups: NonNegativeInt
    """Groups with negatives among them."""
    detectable_auroc: Probability | None
    """Smallest AUROC that one latent chosen beforehand would show on the confirm rows with 80 % power at level 0.05."""
    detectable_auroc_ranked: Probability | None
    """Smallest AUROC that survives the ranking of 1,000 latents on the explore rows with 80 % power."""
    smallest_p: Probability | None
    """Smallest p-value that the explore rows can give; a ranking needs it well below 0.05 / latents."""


class WantedRows(Contract):
    """Rows that would make a surface property useless as a shortcut."""

    side: Side
    """Label of the rows to write."""
    n: Annotated[int, Field(ge=1)]
    """How many."""
    property: str
    """Property that they balance."""
    low: FiniteFloat
    """Lower end of the property's range that lacks such rows, in its own unit."""
    high: FiniteFloat
    """Upper end."""


class PromptAudit(Contract):
    """The set looked at as a whole, before any model reads it."""

    usability: Usability
    """Overall verdict."""
    n_prompts: NonNegativeInt
    """Prompts."""
    n_positive: NonNegativeInt
    """At or above the threshold."""
    n_negative: NonNegativeInt
    """Below it."""
    n_pairs: NonNegativeInt
    """Counterfactual pairs with both sides."""
    n_spans: NonNegativeInt
    """Prompts with a labelled span."""
    issues: tuple[SetIssue, ...]
    """What is wrong or weak, errors first."""
    surface: tuple[SurfaceScore, ...]
    """Every property that was looked at, strongest first; empty if there are too few groups to tell."""
    power: Power
    """What it could show."""
    rows_to_add: tuple[WantedRows, ...] = ()
    """Rows that would balance what is associated with the label."""
    rows_to_drop: tuple[str, ...] = ()
    """At most 20 ids of rows whose property no row of the other label comes near."""


class AuditPromptsRequest(Contract):
    """Look at a prompt set before any model reads it."""

    dataset: PromptArgument = Field(examples=["builtin:question"])
    """Scored prompts: 'builtin:NAME', a JSON Lines file, or
    {'prompts': [{'text': …, 'score': 0 to 1}, …]}."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives, the others negatives."""
    seed: Seed = 0
    """Seed of the explore/confirm split and of the folds."""


class AuditPromptsResult(Result):
    """The audit of one prompt set."""

    dataset: str
    """Where the prompts come from."""
    sha256: str
    """Hash over every field of every prompt."""
    audit: PromptAudit
    """What was found."""
