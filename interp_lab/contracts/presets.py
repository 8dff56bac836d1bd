"""A criterion preset: what a dataset in the box claims to measure, how it was made, and what it cannot show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints

from interp_lab.contracts.base import Contract, Name, Seed

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""A name in lower case with hyphens, as datasets and presets have it."""

Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=2000)]
"""A sentence or a few for a reader."""

PoolingName = Literal["last", "max", "mean", "span"]
"""How tokens become one number per prompt: the last token, the largest value, the mean, or the labelled span."""

Confound = Literal["length", "punctuation", "digits", "bag_of_words", "template"]
"""A property of the surface that could solve a dataset without the criterion."""


class Recipe(Contract):
    """How a dataset was made: the same recipe gives the same bytes."""

    generator: str = Field(examples=["interp_lab.corpus.criteria.question"])
    """Python module that writes the dataset."""
    seed: Seed
    """Seed of every random choice."""
    version: PositiveInt
    """Raised whenever the generator changes what it writes."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Hash of the dataset's file."""
    n_prompts: PositiveInt
    """Prompts in the dataset."""
    n_groups: PositiveInt
    """Independent groups of prompts."""
    n_pairs: NonNegativeInt
    """Counterfactual pairs: minimal edits that turn the property off."""


class CriterionDescription(Contract):
    """What a criterion means and how its dataset exercises it, in plain language."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    name: Slug
    """Name of the preset; the same as its dataset's."""
    title: Name
    """A few words for a list."""
    criterion: Prose
    """The property in one sentence that can be true or false of a prompt."""
    description: Prose
    """What a model that represents the property would have to know, and where in the text it would know it."""
    positives: Prose
    """What a prompt with score 1 is."""
    negatives: Prose
    """What a prompt with score 0 is, and what makes the hard ones hard."""
    subtypes: Annotated[dict[Slug, Prose], Field(min_length=2)]
    """Every kind of positive and of negative, and what it is."""
    labels: dict[str, str]
    """Every label of the prompts beside the score, and what it says."""
    pooling: PoolingName
    """Pooling that suits where the property sits."""
    cues: tuple[str, ...] = ()
    """Surface cues that belong to the property itself and cannot be matched away."""
    caveats: tuple[str, ...] = ()
    """What the dataset cannot show."""
    confounds: tuple[Confound, ...] = ()
    """Surface properties that solve the dataset on purpose; empty for a dataset that is meant to be clean."""


class CriterionPreset(CriterionDescription):
    """One criterion in plain language with the dataset that exercises it."""

    dataset: Slug
    """Dataset in the box, for a prompt source of kind 'builtin'."""
    addresses: dict[str, str] = Field(default_factory=dict[str, str])
    """Where to begin, per model in the box: the layer whose probe loses least within the explore groups."""
    made_by: Recipe
    """How the dataset was made."""
