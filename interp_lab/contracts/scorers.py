"""What scores written text, named in a request."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from interp_lab.contracts.base import Contract

ScorerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,59}$")]


class Scorer(Contract):
    """A score of what the model writes after each prompt while the edit is in force."""

    name: ScorerName = Field(examples=["lexicon"])
    """lexicon (share of words that are among `words`), regex (1 where `pattern` is found), length (words), repetition
    (share of word pairs that were there before), or the name of a scorer that an installed package offers."""
    words: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=60)], ...], Field(max_length=200)
    ] = ()
    """For lexicon."""
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """For regex."""
    max_new_tokens: Annotated[int, Field(ge=1, le=128)] = 16
    """Tokens to write."""
    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] = 0.0
    """0 takes the likeliest token."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if (self.name == "lexicon") != bool(self.words):
            raise ValueError("words belong to the scorer lexicon, which needs them")
        if (self.name == "regex") != (self.pattern is not None):
            raise ValueError("pattern belongs to the scorer regex, which needs it")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"the pattern cannot be read: {error}") from None
        return self
