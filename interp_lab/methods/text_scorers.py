"""Scores of written text by name: a few that need nothing else, and those that Python code or packages add."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from itertools import pairwise
from typing import Final

from interp_lab.contracts.scorers import Scorer
from interp_lab.errors import InvalidRequest, NonFiniteInput

TextScorer = Callable[[str], float]
"""From the text that was written, without its prompt, to a finite number."""

GROUP: Final = "interp_lab.scorers"
"""Entry points under which an installed package offers scorers: name = "module:function"."""
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_added: dict[str, TextScorer] = {}
_BUILT_IN: Final = ("lexicon", "regex", "length", "repetition")


def register_scorer(name: str, scorer: TextScorer) -> None:
    """Let requests of this process name a scorer; a job's worker finds those of installed packages only.

    Raises:
        InvalidRequest: The name is taken.
    """
    if name in _BUILT_IN or name in _added:
        raise InvalidRequest(f"A scorer {name!r} is already there.", remedy="Choose another name.")
    _added[name] = scorer


def scorer_names() -> tuple[str, ...]:
    """Return the names that requests can use here."""
    return tuple(dict.fromkeys([*_BUILT_IN, *_added, *(found.name for found in entry_points(group=GROUP))]))


def open_scorer(asked: Scorer) -> TextScorer:
    """Return the scorer that a request names; what it gives is checked to be a finite number.

    Raises:
        InvalidRequest: There is no scorer of that name.
    """
    if asked.name == "lexicon":
        wanted = frozenset(word.strip().casefold() for word in asked.words)
        return lambda text: _share(wanted, words_of(text))
    if asked.name == "regex" and asked.pattern is not None:
        found = re.compile(asked.pattern)
        return lambda text: float(found.search(text) is not None)
    if asked.name == "length":
        return lambda text: float(len(words_of(text)))
    if asked.name == "repetition":
        return _repetition
    return _checked(asked.name, _of_others(asked.name))


def words_of(text: str) -> list[str]:
    """Return the words of a text, case folded."""
    return [word.casefold() for word in _WORD.findall(text)]


def _of_others(name: str) -> TextScorer:
    if name in _added:
        return _added[name]
    for found in entry_points(group=GROUP, name=name):
        return found.load()
    raise InvalidRequest(
        f"There is no scorer {name!r}.", remedy=f"Use one of {', '.join(scorer_names())}, or install one."
    )


def _checked(name: str, scorer: TextScorer) -> TextScorer:
    def score(text: str) -> float:
        value = float(scorer(text))
        if not math.isfinite(value):
            raise NonFiniteInput(f"The scorer {name!r} gives {value} for a text.")
        return value

    return score


def _share(wanted: frozenset[str], words: list[str]) -> float:
    return sum(word in wanted for word in words) / len(words) if words else 0.0


def _repetition(text: str) -> float:
    pairs = list(pairwise(words_of(text)))
    return 1 - len(set(pairs)) / len(pairs) if pairs else 0.0
