"""embed_explanations as it is asked and answered: explanations as vectors of one sentence encoder."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from interp_lab.contracts.base import Contract
from interp_lab.contracts.inspect import ModelArgument
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result

VECTORS_KIND: Final = "text_vectors"
VECTORS_FILE: Final = "vectors.npy"
TEXTS_FILE: Final = "texts.json"

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class EmbedExplanationsRequest(JobRequest):
    """Turn the explanations of this workspace, and words to look for, into vectors of one encoder."""

    encoder: ModelArgument = Field(examples=["models/sentence-encoder"])
    """Sentence encoder with mean pooling on this machine: a folder of the workspace, or a hub id downloaded before."""
    words: Annotated[tuple[Words, ...], Field(max_length=100)] = ()
    """Words that searches will look for."""
    explanations: bool = True
    """Embed the explanations too; false for words alone, to be searched in vectors of the same encoder."""

    @model_validator(mode="after")
    def _embeds_something(self) -> Self:
        if not self.words and not self.explanations:
            raise ValueError("give words, or embed explanations")
        return self


class EmbedExplanationsPlan(Contract):
    """What a dry run says."""

    n_explanations: NonNegativeInt
    """Different texts of explanations."""
    n_words: NonNegativeInt
    """Words to look for."""


class StoredTexts(Contract):
    """What the rows of vectors are of, and who made them."""

    encoder: str
    """Identity of the encoder: vectors of another one mean something else and are never compared with these."""
    texts: tuple[str, ...]
    """Hash of the text of each row."""


class EmbedExplanationsResult(Result):
    """Vectors that search_features can look in."""

    encoder: str
    """Identity of the encoder: its name, its commit or the hash of its files, and the pooling."""
    n_explanations: NonNegativeInt
    """Different texts of explanations."""
    n_words: NonNegativeInt
    """Words to look for."""
    n_cut: NonNegativeInt
    """Texts that were too long and were read in part."""
    width: PositiveInt
    """Numbers of one vector."""
