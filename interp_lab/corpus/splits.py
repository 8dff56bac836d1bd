"""Which text belongs to which use: a filled template is owned by exactly one split, decided by its hash.

A generator that writes for a split redraws a sentence until the split owns it, so training text, held-out text and
criterion prompts can never share a filled template, whatever the seeds are.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

_SHARES = 100
_HELDOUT_FROM = 80
_CRITERIA_FROM = 90
_SPACE = re.compile(r"\s+")


class Split(StrEnum):
    """A use of generated text."""

    TRAIN = "train"
    HELDOUT = "heldout"
    CRITERIA = "criteria"


def fingerprint(text: str) -> str:
    """The hash that identifies a filled template or document: case and white space do not count."""
    return hashlib.sha256(_SPACE.sub(" ", text.strip().lower()).encode()).hexdigest()


def owner(text: str) -> Split:
    """The split that owns this filled template: 80 % train, 10 % held out, 10 % criteria."""
    share = int(fingerprint(text)[:8], 16) % _SHARES
    if share < _HELDOUT_FROM:
        return Split.TRAIN
    return Split.HELDOUT if share < _CRITERIA_FROM else Split.CRITERIA
