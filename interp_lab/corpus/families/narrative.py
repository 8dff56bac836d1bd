"""Stories, conversations and descriptions: people and things that recur, pronouns that must agree with them."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.corpus.grammar import NounPhrase, named
from interp_lab.corpus.morphology import Tense, be, capitalised, past, plural, with_article
from interp_lab.corpus.writer import Person, Writer


def story(w: Writer) -> str:
    """Two or three people, one thing that passes between them, and what they say."""
    people = w.cast(w.dice.integer(2, 3))
    thing = w.grammar.noun(w.dice.pick(("object", "document", "tool", "food")))
    place = w.dice.pick(w.words.places.sites)
    moves = (_meeting, _handing, _pronoun_turn, _speech, _free, _thing_turn)
    weights = (0.12, 0.24, 0.26, 0.18, 0.12, 0.08)
    text = [w.sentence(lambda: _opening(w, people, thing, place))]
    for _ in range(w.dice.integer(4, 12)):
        move = w.dice.weighted(moves, weights)
        text.append(w.sentence(lambda move=move: move(w, w.dice.sample(people, len(people)), thing, place)))
    return " ".join(text)


def _opening(w: Writer, people: list[Person], thing: str, place: str) -> str:
    first, second = people[:2]
    time = w.dice.pick(w.words.modifiers.past_time)
    return w.dice.pick(
        (
            f"When {first.given} and {second.given} went to the {place}, "
            f"{first.given} {past(w.dice.pick(w.words.verbs.giving))} {with_article(thing)} to {second.given}.",
            f"{first.given} {first.surname} met {second.given} {second.surname} at the {place} {time}.",
            f"{capitalised(time)}, {first.given} and {second.given} found {with_article(thing)} near the {place}.",
            f"{first.given} lived with {first.possessive} {w.grammar.noun('role')} near the {place}.",
        )
    )


def _meeting(w: Writer, people: list[Person], thing: str, place: str) -> str:
    first, second = people[:2]
    verb = w.dice.pick(("met", "saw", "greeted", "followed", "visited", "called", "thanked", "warned"))
    where = w.dice.pick((f"at the {place}", f"in the {w.dice.pick(w.words.places.rooms)}", f"with the {thing}"))
    return f"{first.given} {verb} {second.given} {where} {w.dice.pick(w.words.modifiers.past_time)}."


def _handing(w: Writer, people: list[Person], thing: str, place: str) -> str:
    first, second = people[:2]
    verb = past(w.dice.pick(w.words.verbs.giving))
    action = w.dice.pick(("went to", "arrived at", "came to", "were at", "walked to", "had a long day at"))
    other = w.dice.pick((place, w.dice.pick(w.words.places.sites), w.dice.pick(w.words.places.rooms)))
    what = w.dice.pick((f"the {thing}", w.grammar.noun_phrase("object", depth=0).text))
    lead = w.dice.pick(("When", "After", "Then", "While"))
    comma = "," if lead != "Then" else " and"
    scene = f"{lead} {first.given} and {second.given} {action} the {other}"
    return f"{scene}{comma} {first.given} {verb} {what} to {second.given}."


def _pronoun_turn(w: Writer, people: list[Person], thing: str, place: str) -> str:
    del place
    who = people[0]
    clause = w.grammar.clause(named(who.subject), tense="past", bare=True)
    name_part = w.dice.pick(
        (
            f"{who.given} {past(w.dice.pick(w.words.verbs.intransitive))}",
            f"{who.given} {past(w.dice.pick(w.words.verbs.on_object))} the {thing}",
            f"{who.given} was {w.grammar.adjective('role')}",
        )
    )
    return w.dice.pick(
        (
            f"{name_part} because {clause.statement()}.",
            f"{name_part}, and {clause.statement()}.",
            f"{name_part}. {capitalised(clause.statement())}.",
            f"{name_part} with {who.possessive} {w.grammar.noun('role')}.",
            f"{name_part}, so {w.grammar.noun_phrase('role', depth=0).text} helped {who.object}.",
        )
    )


def _speech(w: Writer, people: list[Person], thing: str, place: str) -> str:
    del place
    first, second = people[:2]
    verb = past(w.dice.pick(w.words.verbs.speech))
    words = w.dice.pick(
        (
            lambda: w.grammar.sentence(named(w.dice.pick((second.given, f"the {thing}"))), depth=1),
            lambda: w.grammar.question(named(second.given)),
            lambda: f"I {_did(w)} the {thing} {w.dice.pick(w.words.modifiers.past_time)}.",
            lambda: f"Where is the {thing}, {second.given}?",
        )
    )()
    return quoted(w, words, f"{first.given} {verb}")


def _did(w: Writer) -> str:
    return past(w.dice.pick(w.words.verbs.on_object))


def quoted(w: Writer, words: str, tag: str) -> str:
    """The words in quotation marks with who said them before or after."""
    if w.dice.chance(0.4):
        return f'{tag}, "{words}"'
    inner = words[:-1] + "," if words.endswith(".") else words
    return f'"{inner}" {tag}.'


def _free(w: Writer, people: list[Person], thing: str, place: str) -> str:
    del thing, place
    return w.grammar.sentence(named(people[0].given), tense="past", depth=2)


def _thing_turn(w: Writer, people: list[Person], thing: str, place: str) -> str:
    phrase = NounPhrase(f"the {thing} from the {place}", "singular", "object", thing)
    owner = f"The {thing} of {people[0].given} was {w.grammar.adjective('object')} and {w.grammar.adjective('object')}."
    return w.dice.pick((owner, w.grammar.sentence(phrase, tense="past", depth=1)))


def conversation(w: Writer) -> str:
    """Two people who talk, in the form of a script or of quoted speech."""
    people = w.cast(2)
    scripted = w.dice.chance(0.5)
    lines: list[str] = []
    for turn in range(w.dice.integer(4, 10)):
        speaker, listener = people[turn % 2], people[1 - turn % 2]
        words = w.sentence(lambda listener=listener: _utterance(w, listener))
        verb = past(w.dice.pick(w.words.verbs.speech))
        lines.append(f"{speaker.given}: {words}" if scripted else quoted(w, words, f"{speaker.given} {verb}"))
    return ("\n" if scripted else w.dice.pick(("\n", " "))).join(lines)


def _utterance(w: Writer, listener: Person) -> str:
    g = w.grammar
    choices: tuple[Callable[[], str], ...] = (
        g.question,
        lambda: f"{g.question()[:-1]}, {listener.given}?",
        lambda: g.sentence(depth=1),
        lambda: f"{w.dice.pick(('Yes', 'No', 'Well', 'Perhaps', 'Of course'))}, {_uncapitalised(g.sentence(depth=1))}",
        lambda: f"I {w.dice.pick(w.words.verbs.mental)} that {_uncapitalised(g.sentence(depth=0))}",
        lambda: f"Please {g.transitive('object')} {g.noun_phrase('object').text}, {listener.given}.",
        lambda: f"Do not {g.transitive('object')} {g.noun_phrase('object').text}!",
    )
    return w.dice.pick(choices)()


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def description(w: Writer) -> str:
    """What several things and people are like, in one tense; verbs agree across intervening phrases."""
    tense: Tense = w.dice.pick(("present", "past"))
    return " ".join(w.sentence(lambda: _portrait(w, tense)) for _ in range(w.dice.integer(3, 9)))


def _portrait(w: Writer, tense: Tense) -> str:
    g = w.grammar
    kind = w.dice.pick(("role", "animal", "object", "tool", "document", "building", "nature"))
    base = g.noun_phrase(kind, depth=0, definite=True)
    phrase = w.dice.pick((g.relative_clause(base, tense=tense), g.place_phrase(), f"of {named_owner(w)}", ""))
    subject = NounPhrase(f"{base.text} {phrase}".strip(), base.number, kind, base.head)
    predicate = w.dice.pick(
        (
            g.describing(subject, tense).predicate(),
            g.describing(subject, tense).predicate(),
            f"{be(tense, base.number)} {g.place_phrase()}",
            f"{_have(tense, base.number == 'plural')} {with_article(g.noun('object'))}",
            g.clause(subject, tense=tense, bare=True).predicate(),
        )
    )
    joined = f" {w.dice.pick(('and', 'but'))} {g.describing(subject, tense).predicate()}" if w.dice.chance(0.2) else ""
    return f"{capitalised(subject.text)} {predicate}{joined}."


def _have(tense: Tense, many: bool) -> str:
    return "had" if tense == "past" else "have" if many else "has"


def named_owner(w: Writer) -> str:
    """'the farmer', 'two sailors' or a given name: whom something belongs to."""
    role = w.grammar.noun("role")
    return w.dice.pick((f"the {role}", f"the {plural(role)}", w.person().given))


def questions(w: Writer) -> str:
    """Questions with answers about the same subject."""
    return "\n".join(
        w.sentence(lambda: _asked(w) if w.dice.chance(0.3) else _answered(w)) for _ in range(w.dice.integer(2, 6))
    )


def _asked(w: Writer) -> str:
    return f"Q: {w.grammar.question()}\nA: {w.grammar.sentence(depth=1)}"


def _answered(w: Writer) -> str:
    clause = w.grammar.clause(depth=1, bare=True)
    question = capitalised(clause.question()) + "?"
    answer = f"Yes, {clause.statement()}." if w.dice.chance(0.5) else f"No, {clause.negated().statement()}."
    return f"{question} {answer}"
