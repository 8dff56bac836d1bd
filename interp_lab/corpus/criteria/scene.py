"""The words of one contrast: a topic, and people, things, verbs and places that fit it and do not repeat.

Owns neutral English: no names, numbers, dates, negation, questions, quotation or judgement, so that whatever a
criterion adds is the only difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

from interp_lab.corpus.dice import Dice
from interp_lab.corpus.lexicon import Lexicon, lexicon
from interp_lab.corpus.morphology import capitalised, participle, past, plural, with_article
from interp_lab.corpus.splits import Split, owner
from interp_lab.errors import OperationError

TopicName = Literal["object", "food", "tool", "document", "building", "nature", "animal"]
TOPICS: tuple[TopicName, ...] = get_args(TopicName)

_AMBIGUOUS_NOUNS = frozenset(
    {"cup", "scale", "file", "list", "script", "seal", "scissor", "fish", "sheep", "deer", "saw"}
)
_AMBIGUOUS_VERBS = frozenset(
    {"read", "test", "weigh", "burn", "tear", "see", "own", "hear", "know", "lose", "steal", "break"}
)
_PERSON_ADJECTIVES = ("tall", "young", "old", "short", "quiet", "busy")
_MAX_DRAWS = 2000
_BESIDE = ("near", "behind", "beside", "outside", "inside", "close to")
_TIMES = ("That morning", "That evening", "After lunch", "Before dinner", "At noon", "At midnight", "In the afternoon")


@cache
def _nouns(topic: TopicName) -> tuple[str, ...]:
    words: tuple[str, ...] = getattr(lexicon().nouns, topic)
    return _fitting(words, _AMBIGUOUS_NOUNS)


@cache
def _verbs(topic: TopicName) -> tuple[str, ...]:
    words: tuple[str, ...] = getattr(lexicon().verbs, f"on_{topic}")
    return _fitting(words, _AMBIGUOUS_VERBS)


@cache
def _adjectives() -> tuple[str, ...]:
    return lexicon().modifiers.size + lexicon().modifiers.colour


def _fitting(words: Sequence[str], ambiguous: frozenset[str]) -> tuple[str, ...]:
    return tuple(word for word in dict.fromkeys(words) if word not in ambiguous)


class Scene:
    """Draws phrases for one contrast; no person, thing, verb or adjective is drawn twice."""

    def __init__(self, dice: Dice, topic: TopicName | None = None) -> None:
        self.dice = dice
        self.words: Lexicon = lexicon()
        self.topic: TopicName = topic or dice.pick(TOPICS)
        self._used: set[str] = set()

    def fresh(self, words: Sequence[str]) -> str:
        """One of the words that this scene has not used yet; there must be such a word."""
        word = self.dice.pick(words)
        while word in self._used:
            word = self.dice.pick(words)
        self._used.add(word)
        return word

    def branch(self) -> Scene:
        """A scene with the same topic that knows what this one used, and does not use it up."""
        other = Scene(self.dice, self.topic)
        other._used |= self._used
        return other

    def role(self) -> str:
        """'baker': a role nobody else in the scene has."""
        return self.fresh(self.words.nouns.role)

    def person(self) -> str:
        """'the tall baker'."""
        adjective = f"{self.dice.pick(_PERSON_ADJECTIVES)} " if self.dice.chance(0.25) else ""
        return f"the {adjective}{self.role()}"

    def people(self) -> str:
        """'bakers'."""
        return plural(self.role())

    def noun(self) -> str:
        """'lamp': a bare noun of the topic."""
        return self.fresh(_nouns(self.topic))

    def described(self) -> str:
        """'green lamp' or 'lamp': a noun, perhaps with a neutral adjective."""
        adjective = f"{self.adjective()} " if self.dice.chance(0.35) else ""
        return f"{adjective}{self.noun()}"

    def thing(self) -> str:
        """'the green lamp'."""
        return f"the {self.described()}"

    def things(self) -> str:
        """'green lamps'."""
        return plural(self.described())

    def adjective(self) -> str:
        """'green': a size or a colour."""
        return self.fresh(_adjectives())

    def verb(self) -> str:
        """The base form of a verb that takes a thing of the topic."""
        return self.fresh(_verbs(self.topic))

    def place(self) -> str:
        """'in the kitchen' or 'near the station'."""
        places = self.words.places
        if self.topic not in ("building", "nature") and self.dice.chance(0.5):
            return f"in the {self.dice.pick(places.rooms)}"
        return f"{self.dice.pick(_BESIDE)} the {self.dice.pick(places.sites)}"

    def aside(self) -> str:
        """A plain sentence that has nothing to do with any criterion."""
        shapes = (self._did, self._later_did, self._was_done, self._two_did, self._stood)
        return capitalised(self.dice.pick(shapes)()) + "."

    def plain(self, avoid: frozenset[str] = frozenset()) -> str:
        """An aside that the criterion split owns and that has none of the words to avoid; uses up no words.

        Raises:
            OperationError: There is no such sentence.
        """
        for _ in range(_MAX_DRAWS):
            sentence = self.branch().aside()
            if avoid.isdisjoint(sentence.lower().rstrip(".").split()) and owner(sentence) is Split.CRITERIA:
                return sentence
        raise OperationError(f"No plain sentence of the criterion split avoids {sorted(avoid)}.")

    def _did(self) -> str:
        return f"{self.person()} {past(self.verb())} {self.thing()} {self.place()}"

    def _later_did(self) -> str:
        return f"{self.dice.pick(_TIMES)} {self.person()} {past(self.verb())} {self.thing()} {self.place()}"

    def _was_done(self) -> str:
        return f"{self.thing()} was {participle(self.verb())} by {self.person()} {self.place()}"

    def _two_did(self) -> str:
        return f"{self.person()} and {self.person()} {past(self.verb())} {self.thing()}"

    def _stood(self) -> str:
        return f"there was {with_article(self.noun())} {self.place()}, and {self.person()} {past(self.verb())} it"
