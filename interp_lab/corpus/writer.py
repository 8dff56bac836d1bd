"""What a document family writes with: choices, words, the split it writes for, and people who recur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from interp_lab.corpus.dice import Dice
from interp_lab.corpus.grammar import Grammar
from interp_lab.corpus.lexicon import Lexicon, lexicon
from interp_lab.corpus.splits import Split, owner
from interp_lab.errors import OperationError

_MAX_DRAWS = 2000


@dataclass(frozen=True)
class Person:
    """Somebody who recurs in a document, with the pronouns that refer to them."""

    given: str
    surname: str
    gender: Literal["feminine", "masculine"]

    @property
    def subject(self) -> str:
        """'she' or 'he'."""
        return "she" if self.gender == "feminine" else "he"

    @property
    def object(self) -> str:
        """'her' or 'him'."""
        return "her" if self.gender == "feminine" else "him"

    @property
    def possessive(self) -> str:
        """'her' or 'his'."""
        return "her" if self.gender == "feminine" else "his"


class Writer:
    """Writes sentences that one split owns."""

    def __init__(self, dice: Dice, split: Split, words: Lexicon | None = None) -> None:
        self.dice = dice
        self.split = split
        self.words = words or lexicon()
        self.grammar = Grammar(dice, self.words)

    def sentence(self, fill: Callable[[], str]) -> str:
        """A filled template that this writer's split owns, drawing again until it does.

        `fill` must choose through `self.dice` and leave at least two slots open, else it can run out of fillings.

        Raises:
            OperationError: no filling of the template is owned by the split.
        """
        for _ in range(_MAX_DRAWS):
            text = fill()
            if owner(text) is self.split:
                return text
        raise OperationError(f"No filling of a template is owned by the {self.split} split; one was {fill()!r}.")

    def person(self, gender: Literal["feminine", "masculine"] | None = None) -> Person:
        """Somebody with a given name and a surname."""
        gender = gender or self.dice.pick(("feminine", "masculine"))
        names = self.words.names
        given = self.dice.pick(names.feminine if gender == "feminine" else names.masculine)
        return Person(given, self.dice.pick(names.surnames), gender)

    def cast(self, size: int) -> list[Person]:
        """People with distinct given names."""
        people: dict[str, Person] = {}
        while len(people) < size:
            person = self.person()
            people.setdefault(person.given, person)
        return list(people.values())
