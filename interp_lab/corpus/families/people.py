"""Short documents about people in which a name decides what follows: whose pronoun it is, and whose turn to speak."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.corpus.families.narrative import quoted
from interp_lab.corpus.grammar import Kind, named
from interp_lab.corpus.morphology import capitalised, past, with_article
from interp_lab.corpus.writer import Person, Writer

_BRIEF = (
    "Yes.",
    "No.",
    "Why?",
    "When?",
    "Perhaps.",
    "Not yet.",
    "Of course.",
    "I see.",
    "Are you sure?",
    "Thank you.",
    "Never.",
    "Maybe tomorrow.",
    "What happened?",
    "Who told you?",
    "That is true.",
    "I do not know.",
)
_LINKS = ("because", "because", "when", "although", "while", "after", "before", "so", "and then", "but")


def anecdotes(w: Writer) -> str:
    """A line or two about each of several people, with the pronouns that refer to them."""
    people = [w.person() for _ in range(w.dice.integer(4, 10))]
    lines = [w.sentence(lambda who=who: w.dice.pick(_ANECDOTES)(w, who)) for who in people]
    return w.dice.pick(("\n", "\n", " ")).join(lines)


def _act(w: Writer) -> str:
    kind: Kind = w.dice.pick(("object", "document"))
    return f"{past(w.grammar.transitive(kind))} the {w.grammar.noun(kind)}"


def _rest(w: Writer) -> str:
    return past(w.dice.pick(w.words.verbs.intransitive))


def _state(w: Writer) -> str:
    return f"was {w.grammar.adjective('role')}"


def _deed(w: Writer) -> str:
    return w.dice.pick((_act, _rest, _state))(w)


def _opened(w: Writer, sentence: str) -> str:
    # a name stands first as often as after a time, for its tokens differ
    if w.dice.chance(0.7):
        return sentence
    return f"{capitalised(w.dice.pick(w.words.modifiers.past_time))}, {sentence}"


def _reason(w: Writer, who: Person) -> str:
    return _opened(w, f"{who.given} {_deed(w)} {w.dice.pick(_LINKS)} {who.subject} {_deed(w)}.")


def _possession(w: Writer, who: Person) -> str:
    verb, thing = past(w.dice.pick(w.words.verbs.on_object)), w.grammar.noun("object")
    return _opened(w, f"{who.given} {verb} {who.possessive} {thing}, and {who.subject} {_deed(w)}.")


def _company(w: Writer, who: Person) -> str:
    role, verb = w.grammar.noun("role"), past(w.dice.pick(w.words.verbs.on_role))
    return w.dice.pick(
        (
            f"{who.given} {_rest(w)} with {who.possessive} {role}, but {who.subject} {_deed(w)}.",
            f"The {role} {verb} {who.given} because {who.subject} {_deed(w)}.",
            f"The {role} knew {who.given} and {verb} {who.object} {w.dice.pick(w.words.modifiers.past_time)}.",
        )
    )


def _career(w: Writer, who: Person) -> str:
    role = with_article(w.grammar.noun("role"))
    city, clause = w.dice.pick(w.words.places.cities), w.grammar.clause(named(who.subject), tense="past", bare=True)
    return w.dice.pick(
        (
            f"{who.given} {who.surname} was {role} in {city}. {capitalised(who.subject)} {_deed(w)}.",
            f"{who.given} was {role}, and {clause.statement()}.",
            f"In {city}, {who.given} became {role}. {capitalised(clause.statement())}.",
        )
    )


def _saying(w: Writer, who: Person) -> str:
    verb = past(w.dice.pick(w.words.verbs.mental))
    return w.dice.pick(
        (
            lambda: f"{who.given} {verb} that {who.subject} {_deed(w)}.",
            lambda: quoted(w, f"I {_act(w)}.", f"{who.given} told {who.possessive} {w.grammar.noun('role')}"),
            lambda: f"{who.given} asked {who.possessive} {w.grammar.noun('role')} why {who.subject} {_deed(w)}.",
        )
    )()


_ANECDOTES: tuple[Callable[[Writer, Person], str], ...] = (
    _reason,
    _reason,
    _reason,
    _possession,
    _company,
    _career,
    _saying,
)


def dialogue(w: Writer) -> str:
    """A script in which two people speak in turn, often in a word or two."""
    people = w.cast(2)
    terse = w.dice.pick((0.0, 0.3, 0.7))
    lines: list[str] = []
    for turn in range(w.dice.integer(4, 14)):
        speaker, listener = people[turn % 2], people[1 - turn % 2]
        brief = turn > 0 and w.dice.chance(terse)
        words = w.dice.pick(_BRIEF) if brief else w.sentence(lambda listener=listener: _line(w, listener))
        lines.append(f"{speaker.given}: {words}")
    return "\n".join(lines)


def _line(w: Writer, listener: Person) -> str:
    g = w.grammar
    choices: tuple[Callable[[], str], ...] = (
        lambda: g.question(depth=1),
        lambda: f"{g.question(depth=1)[:-1]}, {listener.given}?",
        lambda: g.sentence(depth=1),
        lambda: g.sentence(depth=0),
        lambda: f"I {_act(w)}.",
        lambda: f"Did you {g.transitive('object')} {g.noun_phrase('object', depth=0).text}, {listener.given}?",
    )
    return w.dice.pick(choices)()
