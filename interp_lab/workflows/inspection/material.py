"""What an inspection works on, read from a model or from disk: the same questions to both. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.corpus.prompt_set import PromptSet


class Material(Protocol):
    """The prompts, and what there is to say about where the values come from."""

    @property
    def request(self) -> InspectRequest:
        """As asked."""
        ...

    @property
    def prompts(self) -> PromptSet:
        """Prompts with a positive and a negative side."""
        ...

    @property
    def lengths(self) -> Sequence[int] | None:
        """Tokens of every prompt, if they are known."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens that stand for text, over all prompts."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model."""
        ...

    @property
    def unverified(self) -> Sequence[str]:
        """Points that no identity verifies."""
        ...

    @property
    def checked(self) -> Mapping[str, str]:
        """Self-checks and what they found."""
        ...
