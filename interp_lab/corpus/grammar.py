"""A recursive grammar of English: noun phrases, clauses, questions, negation and agreement.

Owns which words combine and how they agree. It does not know about documents, splits or recurring people: a family
passes a name or pronoun as the subject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from interp_lab.corpus.dice import Dice
from interp_lab.corpus.lexicon import Lexicon
from interp_lab.corpus.morphology import (
    Number,
    Tense,
    be,
    capitalised,
    counted,
    do,
    finite,
    gerund,
    participle,
    with_article,
)

Kind = Literal["role", "animal", "object", "food", "tool", "document", "building", "abstract", "nature"]
KINDS: tuple[Kind, ...] = ("role", "animal", "object", "food", "tool", "document", "building", "abstract", "nature")
_AGENTS: tuple[Kind, ...] = ("role", "role", "animal")
_TENSES: tuple[Tense, ...] = ("past", "past", "past", "present", "present", "future")
_ADJECTIVES: dict[Kind, tuple[str, ...]] = {
    "role": ("person", "age", "size"),
    "animal": ("size", "colour", "person"),
    "object": ("size", "colour", "material", "state", "age"),
    "food": ("food", "size"),
    "tool": ("size", "state", "age"),
    "document": ("age", "idea", "size"),
    "building": ("size", "age", "colour"),
    "abstract": ("idea",),
    "nature": ("size", "age", "state"),
}


@dataclass(frozen=True)
class NounPhrase:
    """Words that act as one noun, with what verbs must agree with."""

    text: str
    number: Number
    kind: Kind
    head: str


@dataclass(frozen=True)
class Clause:
    """One subject and what is said of it; `statement`, `question` and the rest put it into words."""

    subject: NounPhrase
    tense: Tense
    verb: str
    complement: str = ""
    adverbial: str = ""
    negative: bool = False
    copula: bool = False

    def predicate(self) -> str:
        """The verb and everything after it."""
        return _join(self._verb_group(), self.complement, self.adverbial)

    def statement(self) -> str:
        """'the dog chased a cat yesterday', without capital or full stop."""
        return f"{self.subject.text} {self.predicate()}"

    def question(self) -> str:
        """'did the dog chase a cat yesterday', without capital or question mark."""
        negation = "not" if self.negative else ""
        if self.copula:
            form, _, rest = be(self.tense, self.subject.number).partition(" ")
            return _join(form, self.subject.text, negation, rest, self.complement, self.adverbial)
        auxiliary = do(self.tense, self.subject.number)
        return _join(auxiliary, self.subject.text, negation, self.verb, self.complement, self.adverbial)

    def negated(self) -> Clause:
        """The same clause denied."""
        return replace(self, negative=True)

    def _verb_group(self) -> str:
        number = self.subject.number
        if self.copula:
            form = be(self.tense, number)
            return (
                (form.replace("will be", "will not be") if "will" in form else f"{form} not") if self.negative else form
            )
        if self.negative:
            return f"{do(self.tense, number)} not {self.verb}"
        return finite(self.verb, self.tense, number)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def named(name: str) -> NounPhrase:
    """A noun phrase for a name or a third-person singular pronoun."""
    return NounPhrase(name, "singular", "role", name)


class Grammar:
    """Draws phrases and clauses from the lexicon with a given stream of choices."""

    def __init__(self, dice: Dice, words: Lexicon) -> None:
        self.dice = dice
        self.words = words

    def noun(self, kind: Kind) -> str:
        """A singular noun of that kind."""
        nouns: tuple[str, ...] = getattr(self.words.nouns, kind)
        return self.dice.pick(nouns)

    def adjective(self, kind: Kind) -> str:
        """An adjective that fits nouns of that kind."""
        fitting: tuple[str, ...] = getattr(self.words.modifiers, self.dice.pick(_ADJECTIVES[kind]))
        return self.dice.pick(fitting)

    def transitive(self, kind: Kind) -> str:
        """A verb whose object can be of that kind."""
        verbs: tuple[str, ...] = getattr(self.words.verbs, f"on_{kind}")
        return self.dice.pick(verbs)

    def intransitive(self, kind: Kind) -> str:
        """A verb without object for a subject of that kind."""
        verbs = self.words.verbs
        return self.dice.pick(
            {"role": verbs.intransitive, "animal": verbs.animal_intransitive}.get(kind, verbs.thing_intransitive)
        )

    def number(self) -> Number:
        """Singular or plural."""
        return self.dice.weighted(("singular", "plural"), (0.6, 0.4))

    def tense(self) -> Tense:
        """Past more often than present, present more often than future."""
        return self.dice.pick(_TENSES)

    def noun_phrase(
        self,
        kind: Kind | None = None,
        number: Number | None = None,
        depth: int = 1,
        definite: bool | None = None,
    ) -> NounPhrase:
        """A determiner, perhaps adjectives, a noun, and down to `depth` levels of phrases that hang on it."""
        kind = kind or self.dice.pick(KINDS)
        number = number or self.number()
        head = self.noun(kind)
        bare = counted(head, number)
        if self.dice.chance(0.35):
            bare = f"{self.adjective(kind)} {bare}"
        base = NounPhrase(self._determined(bare, number, definite), number, kind, head)
        return self._extended(base, depth) if depth > 0 else base

    def _determined(self, bare: str, number: Number, definite: bool | None) -> str:
        definite = self.dice.chance(0.65) if definite is None else definite
        if definite:
            return f"{self.dice.weighted(('the', 'this' if number == 'singular' else 'these'), (0.93, 0.07))} {bare}"
        if number == "singular":
            return with_article(bare)
        return f"{self.dice.pick(('some', 'two', 'three', 'many', 'several', 'four', 'a few'))} {bare}"

    def _extended(self, base: NounPhrase, depth: int) -> NounPhrase:
        roll = self.dice.unit()
        if roll < 0.18:
            return replace(base, text=f"{base.text} {self.relative_clause(base, depth - 1)}")
        if roll < 0.36:
            return replace(base, text=f"{base.text} {self.place_phrase(depth - 1)}")
        return base

    def relative_clause(self, base: NounPhrase, depth: int = 0, tense: Tense | None = None) -> str:
        """'that chased the cat' or 'that the farmer carried'; the verb agrees with its own subject."""
        tense = tense or self.dice.pick(("past", "present"))
        pronoun = "who" if base.kind == "role" and self.dice.chance(0.6) else "that"
        if self.dice.chance(0.5):
            return f"{pronoun} {self.clause(base, tense=tense, depth=depth, bare=True).predicate()}"
        other = self.noun_phrase("role", depth=depth, definite=True)
        return f"that {other.text} {finite(self.transitive(base.kind), tense, other.number)}"

    def place_phrase(self, depth: int = 0) -> str:
        """'near the old bridge', 'in the kitchen'."""
        if self.dice.chance(0.4):
            return f"in the {self.dice.pick(self.words.places.rooms)}"
        kind: Kind = self.dice.pick(("building", "object", "nature"))
        where = self.dice.pick(self.words.modifiers.prepositions)
        return f"{where} {self.noun_phrase(kind, depth=depth, definite=True).text}"

    def time_phrase(self, tense: Tense) -> str:
        """A time that fits the tense."""
        modifiers = self.words.modifiers
        return self.dice.pick(
            {"past": modifiers.past_time, "present": modifiers.present_time, "future": modifiers.future_time}[tense]
        )

    def clause(
        self,
        subject: NounPhrase | None = None,
        *,
        tense: Tense | None = None,
        depth: int = 1,
        bare: bool = False,
    ) -> Clause:
        """A clause about the subject (drawn when absent); `bare` leaves out times and places."""
        tense = tense or self.tense()
        if subject is None:
            kind = self.dice.pick(_AGENTS) if self.dice.chance(0.75) else self.dice.pick(KINDS)
            subject = self.noun_phrase(kind, depth=depth)
        shape = self._shape(subject.kind)
        clause = shape(subject, tense, depth)
        return clause if bare else replace(clause, adverbial=self._adverbial(tense))

    def _shape(self, kind: Kind) -> Callable[[NounPhrase, Tense, int], Clause]:
        if kind in ("role", "animal"):
            shapes = (self._acting, self._resting, self.describing, self._giving if kind == "role" else self._acting)
            return self.dice.weighted(shapes, (0.5, 0.2, 0.2, 0.1))
        return self.dice.weighted((self.describing, self._resting, self._placed), (0.6, 0.2, 0.2))

    def _acting(self, subject: NounPhrase, tense: Tense, depth: int) -> Clause:
        kind: Kind = self.dice.pick(KINDS if subject.kind == "role" else ("role", "animal", "food", "object"))
        verb = self.transitive(kind) if subject.kind == "role" else self.dice.pick(("see", "find", "follow", "watch"))
        return Clause(subject, tense, verb, self.noun_phrase(kind, depth=depth - 1).text)

    def _resting(self, subject: NounPhrase, tense: Tense, depth: int) -> Clause:
        where = self.place_phrase(depth - 1) if self.dice.chance(0.5) else ""
        return Clause(subject, tense, self.intransitive(subject.kind), where)

    def _placed(self, subject: NounPhrase, tense: Tense, depth: int) -> Clause:
        return Clause(subject, tense, "be", self.place_phrase(depth - 1), copula=True)

    def _giving(self, subject: NounPhrase, tense: Tense, depth: int) -> Clause:
        gift = self.noun_phrase(self.dice.pick(("object", "food", "tool", "document")), depth=depth - 1).text
        receiver = self.noun_phrase("role", depth=0).text
        return Clause(subject, tense, self.dice.pick(self.words.verbs.giving), f"{gift} to {receiver}")

    def describing(self, subject: NounPhrase, tense: Tense, depth: int = 0) -> Clause:
        """'the keys are rusty': a copula and an adjective."""
        del depth
        quality = self.adjective(subject.kind)
        if self.dice.chance(0.3):
            quality = f"{self.dice.pick(self.words.modifiers.degree)} {quality}"
        return Clause(subject, tense, "be", quality, copula=True)

    def _adverbial(self, tense: Tense) -> str:
        roll = self.dice.unit()
        if roll < 0.2:
            return self.time_phrase(tense)
        return self.dice.pick(self.words.modifiers.manner) if roll < 0.32 else ""

    def sentence(self, subject: NounPhrase | None = None, *, tense: Tense | None = None, depth: int = 2) -> str:
        """A statement with capital and full stop: plain, denied, joined, subordinate, reported or another aspect."""
        tense = tense or self.tense()
        shapes = (self._plain, self._denied, self._joined, self._subordinate, self._reported, self._aspect)
        shape = self.dice.weighted(shapes, (0.42, 0.12, 0.12, 0.14, 0.1, 0.1))
        return capitalised(shape(subject, tense, depth)) + "."

    def _plain(self, subject: NounPhrase | None, tense: Tense, depth: int) -> str:
        return self.clause(subject, tense=tense, depth=depth).statement()

    def _denied(self, subject: NounPhrase | None, tense: Tense, depth: int) -> str:
        clause = self.clause(subject, tense=tense, depth=depth)
        if clause.copula or tense == "future" or self.dice.chance(0.75):
            return clause.negated().statement()
        return _join(clause.subject.text, "never", finite(clause.verb, tense, clause.subject.number), clause.complement)

    def _joined(self, subject: NounPhrase | None, tense: Tense, depth: int) -> str:
        first = self.clause(subject, tense=tense, depth=depth - 1, bare=True)
        second = self.clause(first.subject, tense=tense, depth=depth - 1)
        if self.dice.chance(0.5):
            return f"{first.statement()} {self.dice.pick(('and', 'and then', 'but'))} {second.predicate()}"
        other = self.clause(tense=tense, depth=depth - 1)
        return f"{first.statement()}, {self.dice.pick(('and', 'but', 'so', 'yet'))} {other.statement()}"

    def _subordinate(self, subject: NounPhrase | None, tense: Tense, depth: int) -> str:
        main = self.clause(subject, tense=tense, depth=depth - 1).statement()
        side = self.clause(tense="present" if tense == "future" else tense, depth=depth - 1, bare=True).statement()
        word = self.dice.pick(("because", "when", "while", "although", "before", "after", "if", "unless"))
        return f"{word} {side}, {main}" if self.dice.chance(0.5) else f"{main} {word} {side}"

    def _reported(self, subject: NounPhrase | None, tense: Tense, depth: int) -> str:
        speaker = subject or self.noun_phrase("role", depth=0, definite=True)
        told = self.clause(tense=tense, depth=depth - 1).statement()
        return f"{speaker.text} {finite(self.dice.pick(self.words.verbs.mental), tense, speaker.number)} that {told}"

    def _aspect(self, subject: NounPhrase | None, tense: Tense, depth: int) -> str:
        clause = self.clause(subject, tense="present", depth=depth - 1, bare=True)
        if clause.copula:
            return clause.statement()
        if self.dice.chance(0.5):
            group = f"{finite('have', tense, clause.subject.number)} {participle(clause.verb)}"
        else:
            group = f"{be(tense, clause.subject.number)} {gerund(clause.verb)}"
        return _join(clause.subject.text, group, clause.complement)

    def question(self, subject: NounPhrase | None = None, *, tense: Tense | None = None, depth: int = 1) -> str:
        """A question with capital and question mark: yes-no, why, when, how or where."""
        clause = self.clause(subject, tense=tense, depth=depth, bare=True)
        word = self.dice.weighted(("", "why ", "when ", "how ", "where "), (0.5, 0.2, 0.12, 0.1, 0.08))
        return capitalised(word + clause.question()) + "?"
