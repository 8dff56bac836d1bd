"""The tokens of a whole corpus, held in a few bytes each: what is drawn from or shuffled has to be there at once."""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

from interp_lab.workflows.harvesting.inputs import Inputs

_DOCUMENTS: Final = 512
"""Documents that are held as they come from the tokenizer."""


class HeldTokens(NamedTuple):
    """The tokens of one document, five bytes each."""

    ids: array[int]
    special: bytes
    """1 for every token that stands for no text, else 0."""


def held_tokens(inputs: Inputs) -> list[HeldTokens]:
    """Return the tokens of every document, in order."""
    return [
        HeldTokens(array("i", document.ids), bytes(document.special))
        for first in range(0, len(inputs.texts), _DOCUMENTS)
        for document in inputs.tokens(first, first + _DOCUMENTS)
    ]
