"""Questions with a known answer that the generators pose: does the model continue with the word that agrees or recurs?

Every item is the beginning of a sentence that the held-out split owns, the right continuation and wrong ones of the
same form. The wrong ones are right in other items, so a model that ignores the context scores at chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interp_lab.corpus.dice import Dice
from interp_lab.corpus.grammar import Kind
from interp_lab.corpus.morphology import Number, Tense, be, capitalised, counted, finite, past, with_article
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer

_KINDS: tuple[Kind, ...] = ("object", "tool", "document", "animal", "role")
_OTHER: dict[Number, Number] = {"singular": "plural", "plural": "singular"}
_INVARIABLE = {"sheep", "deer", "fish"}


@dataclass(frozen=True)
class Item:
    """A beginning and its possible continuations, the right one first."""

    prompt: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A kind of question and what guessing scores."""

    name: str
    title: str
    chance: float
    make: Callable[[Writer], Item]


def items(task: Task, count: int, seed: int) -> list[Item]:
    """Distinct items of the task."""
    found: dict[str, Item] = {}
    index = 0
    while len(found) < count:
        item = task.make(Writer(Dice(seed, f"task/{task.name}/{index}"), Split.HELDOUT))
        found.setdefault(item.prompt, item)
        index += 1
    return list(found.values())


@dataclass(frozen=True)
class _Subject:
    """A noun whose verb is asked for; the attractor between them has the other number."""

    kind: Kind
    number: Number
    tense: Tense

    @property
    def other(self) -> Number:
        return _OTHER[self.number]


def _agreement(w: Writer, attractor: Callable[[Writer, _Subject], str]) -> Item:
    number: Number = w.dice.pick(("singular", "plural"))
    tense: Tense = w.dice.pick(("present", "past"))
    chosen: dict[str, str] = {}

    def fill() -> str:
        subject = _Subject(w.dice.pick(_KINDS), number, tense)
        noun = w.grammar.noun(subject.kind)
        while noun in _INVARIABLE:
            noun = w.grammar.noun(subject.kind)
        chosen["prompt"] = f"The {counted(noun, number)} {attractor(w, subject)}"
        return f"{chosen['prompt']} {be(tense, number)} {w.grammar.adjective(subject.kind)}."

    w.sentence(fill)
    return Item(chosen["prompt"], (" " + be(tense, number), " " + be(tense, _OTHER[number])))


def _across_clause(w: Writer, subject: _Subject) -> str:
    agent = counted(w.grammar.noun("role"), subject.other)
    return f"that the {agent} {finite(w.grammar.transitive(subject.kind), subject.tense, subject.other)}"


def _across_place(w: Writer, subject: _Subject) -> str:
    place = w.grammar.noun(w.dice.pick(("building", "object")))
    return f"{w.dice.pick(('near', 'behind', 'beside', 'next to'))} the {counted(place, subject.other)}"


def _receiver(w: Writer) -> Item:
    giver, receiver = w.cast(2)
    chosen: dict[str, str] = {}

    def fill() -> str:
        place, thing = w.dice.pick(w.words.places.sites), w.grammar.noun("object")
        verb = past(w.dice.pick(("give", "hand", "send", "offer")))
        meeting = f"When {giver.given} and {receiver.given} went to the {place}"
        chosen["prompt"] = f"{meeting}, {giver.given} {verb} {with_article(thing)} to"
        return f"{chosen['prompt']} {receiver.given}."

    w.sentence(fill)
    return Item(chosen["prompt"], (f" {receiver.given}", f" {giver.given}"))


def _pronoun(w: Writer) -> Item:
    person = w.person()
    chosen: dict[str, str] = {}

    def fill() -> str:
        verb, thing = past(w.dice.pick(w.words.verbs.on_object)), w.grammar.noun("object")
        chosen["prompt"] = f"{person.given} {verb} the {thing} because"
        return f"{chosen['prompt']} {person.subject} was {w.grammar.adjective('role')}."

    w.sentence(fill)
    return Item(chosen["prompt"], (f" {person.subject}", " he" if person.subject == "she" else " she"))


def _lookup(w: Writer) -> Item:
    people = w.cast(3)
    values = [str(w.dice.integer(1000, 9999)) for _ in people]
    if len(set(values)) < len(values):
        return _lookup(w)
    told = [w.sentence(lambda p=p, v=v: _told(w, p.given, v)) for p, v in zip(people, values, strict=True)]
    asked = w.dice.integer(0, 2)
    prompt = f"{' '.join(told)} Question: What is the locker of {people[asked].given}? Answer:"
    right = values[asked]
    return Item(prompt, (f" {right}", *(f" {value}" for value in values if value != right)))


def _told(w: Writer, name: str, value: str) -> str:
    verb, document = past(w.dice.pick(w.words.verbs.on_document)), with_article(w.grammar.noun("document"))
    return f"The locker of {name} is {value}, and {name} {verb} {document} {w.dice.pick(w.words.modifiers.past_time)}."


def _speaker_name(w: Writer) -> Item:
    speaker, listener = w.cast(2)
    opening = w.sentence(lambda: f"{speaker.given}: {capitalised(w.grammar.question(depth=1)[:-1])}, {listener.given}?")
    reply = w.sentence(lambda: f"{listener.given}: {w.grammar.sentence(depth=1)}")
    third = w.sentence(lambda: f"{speaker.given}: {w.grammar.sentence(depth=1)}")
    return Item(f"{opening}\n{reply}\n{third}\n", (f"{listener.given}:", f"{speaker.given}:"))


TASKS: tuple[Task, ...] = (
    Task("relative", "subject and verb agree across a relative clause", 0.5, lambda w: _agreement(w, _across_clause)),
    Task("place", "subject and verb agree across a place phrase", 0.5, lambda w: _agreement(w, _across_place)),
    Task("receiver", "the name that recurs: of two people in context, the one who receives", 0.5, _receiver),
    Task("pronoun", "pronoun agrees with the name", 0.5, _pronoun),
    Task("lookup", "four-digit value of one of three people in context", 1 / 3, _lookup),
    Task("turn", "whose turn it is to speak", 0.5, _speaker_name),
)
