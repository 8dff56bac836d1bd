"""Reviews, measurements, chronicles and expository text."""

from __future__ import annotations

from interp_lab.corpus.lexicon import Unit
from interp_lab.corpus.morphology import capitalised, counted, past, plural, third_person, with_article
from interp_lab.corpus.writer import Person, Writer

_PERIODS = ("days", "weeks", "months")


def review(w: Writer) -> str:
    """A product judged well, badly or both, with words that agree with the verdict."""
    product = w.dice.pick(w.words.reviews.products)
    leaning = w.dice.pick(("good", "bad", "mixed"))
    text: list[str] = []
    for _ in range(w.dice.integer(2, 7)):
        good = leaning == "good" if leaning != "mixed" else w.dice.chance(0.5)
        text.append(w.sentence(lambda good=good: opinion(w, product, good)))
    closings = w.words.reviews.positive_closings if leaning == "good" else w.words.reviews.negative_closings
    if leaning != "mixed" and w.dice.chance(0.6):
        text.append(w.dice.pick(closings))
    if w.dice.chance(0.3):
        text.insert(0, f"Review of the {product}:")
    return " ".join(text)


def opinion(w: Writer, product: str, good: bool) -> str:
    """One sentence that praises or blames the product or an aspect of it."""
    r = w.words.reviews
    quality = w.dice.pick(r.positive if good else r.negative)
    other = w.dice.pick(r.positive if good else r.negative)
    verb = w.dice.pick(r.positive_verbs if good else r.negative_verbs)
    aspect, second = w.dice.sample(r.aspects, 2)
    degree = w.dice.pick(w.words.modifiers.degree)
    return w.dice.pick(
        (
            f"The {aspect} of this {product} is {degree} {quality}.",
            f"I {verb} the {aspect}, and the {second} is {quality}.",
            f"What {with_article(quality)} {product}, with {with_article(other)} {aspect}!",
            f"This {product} has {with_article(quality)} {aspect} and {with_article(other)} {second}.",
            f"My {w.grammar.noun('role')} and I {verb} this {product} because the {aspect} is {quality}.",
            f"The {aspect} was {quality}, but the {second} was even more {other}.",
            f"After {w.dice.integer(2, 11)} {w.dice.pick(_PERIODS)}, I still find the {aspect} {quality}.",
        )
    )


def quantity(w: Writer, dimension: str | None = None) -> str:
    """A number with its unit, in words or as a symbol: '12 kilograms', '12 kg'."""
    value, unit = measured(w, dimension)
    if w.dice.chance(0.7):
        return f"{value} {unit.name if value == 1 else unit.plural}"
    return f"{value} {unit.symbol}"


def measured(w: Writer, dimension: str | None = None) -> tuple[int, Unit]:
    """A value in the natural range of a unit, and the unit."""
    unit = w.dice.pick(w.words.units[dimension or w.dice.pick(tuple(w.words.units))])
    return unit.low + unit.step * w.dice.integer(0, (unit.high - unit.low) // unit.step), unit


def measurements(w: Writer) -> str:
    """Things with their sizes, weights, durations, temperatures and speeds."""
    thing = w.grammar.noun(w.dice.pick(("object", "tool", "building", "animal")))
    return " ".join(w.sentence(lambda: measurement(w, thing)) for _ in range(w.dice.integer(3, 9)))


def measurement(w: Writer, thing: str) -> str:
    """One sentence with a quantity in it."""

    def q(dimension: str) -> str:
        return quantity(w, dimension)

    g, places, sides = w.grammar, w.words.places, ("long", "wide", "tall", "deep")
    role, mass = g.noun("role"), w.dice.pick(w.words.nouns.mass)
    subject = w.dice.pick((f"the {thing}", g.noun_phrase(w.dice.pick(("object", "tool")), "singular", 0).text))
    return capitalised(
        w.dice.pick(
            (
                f"{subject} weighs {q('mass')} and is {q('length')} {w.dice.pick(sides)}.",
                f"the {role} walked {q('length')} in {q('time')}.",
                f"{subject} was heated to {q('temperature')} for {q('time')}.",
                f"add {q('volume')} of {mass} and wait for {q('time')}.",
                f"the {role} bought {q('mass')} of {mass} for the {thing}.",
                f"it moves at {q('speed')}, so the trip of {q('length')} takes {q('time')}.",
                f"{subject} needs {q('energy')} and lasts {q('time')}.",
                f"the distance from {w.dice.pick(places.cities)} to {w.dice.pick(places.cities)} is {q('length')}.",
                f"after {q('time')}, the temperature of the {mass} was {q('temperature')}.",
                f"there are {w.dice.integer(2, 90)} {plural(g.noun('object'))} in the {w.dice.pick(places.rooms)}.",
            )
        )
    )


def date(w: Writer) -> str:
    """A date in one of the usual forms."""
    month, day = w.dice.pick(w.words.calendar.months), w.dice.integer(1, 28)
    year = w.dice.integer(1780, 2025)
    return w.dice.pick((f"{month} {day}, {year}", f"{day} {month} {year}", f"{month} {year}", f"{month} {day}"))


def chronicle(w: Writer) -> str:
    """The life of one person, or the calendar of a place, in dates."""
    person, place = w.person(), w.dice.pick(w.words.places.cities)
    entry = _life_event if w.dice.chance(0.6) else _town_event
    text = [w.sentence(lambda: f"{person.given} {person.surname} was born in {place} on {date(w)}.")]
    text.extend(w.sentence(lambda: entry(w, person, place)) for _ in range(w.dice.integer(3, 8)))
    return " ".join(text)


def _life_event(w: Writer, person: Person, place: str) -> str:
    pick, calendar = w.dice.pick, w.words.calendar
    role = w.grammar.noun("role")
    subject = pick((person.given, capitalised(person.subject), person.surname))
    other = w.person()
    return pick(
        (
            f"On {date(w)}, {person.subject} moved from {place} to {pick(w.words.places.cities)}.",
            f"{subject} became {with_article(role)} in {pick(calendar.months)} {w.dice.integer(1800, 2020)}.",
            f"{subject} married {other.given} {other.surname} on {date(w)}.",
            f"In {w.dice.integer(1800, 2020)}, {person.subject} wrote {_written(w)} about {pick(calendar.events)}.",
            f"{subject} worked as {with_article(role)} until {date(w)}.",
            f"On a {pick(calendar.weekdays)} in {pick(calendar.months)}, {person.subject} returned to {place}.",
        )
    )


def _town_event(w: Writer, person: Person, place: str) -> str:
    pick, calendar = w.dice.pick, w.words.calendar
    event = pick(calendar.events)
    return pick(
        (
            f"On {date(w)}, {event} surprised the people of {place}.",
            f"{capitalised(event)} took place on {pick(calendar.weekdays)}, {date(w)}.",
            f"{person.given} remembered {event} of {date(w)}.",
            f"From {pick(calendar.months)} to {pick(calendar.months)}, the {_site(w)} of {place} was closed.",
            f"In the {pick(calendar.seasons)} of {w.dice.integer(1800, 2020)}, {event} changed {place}.",
        )
    )


def _written(w: Writer) -> str:
    return with_article(w.grammar.noun("document"))


def _site(w: Writer) -> str:
    return w.dice.pick(w.words.places.sites)


def exposition(w: Writer) -> str:
    """A paragraph about one topic."""
    name = w.dice.pick(tuple(w.words.topics))
    subject = w.dice.pick(w.words.topics[name].subjects)
    text = [w.sentence(lambda: _exposed(w, name, subject)) for _ in range(w.dice.integer(3, 9))]
    return (f"{capitalised(name)}. " if w.dice.chance(0.3) else "") + " ".join(text)


def _exposed(w: Writer, name: str, subject: str) -> str:
    topic, g = w.words.topics[name], w.grammar
    who, fact, verb = g.noun_phrase("role", depth=1), w.dice.pick(topic.facts), w.dice.pick(topic.verbs)
    lead = w.dice.pick(w.words.modifiers.connectives)
    return w.dice.pick(
        (
            f"{capitalised(who.text)} {past(verb)} {subject} because {fact}.",
            f"{lead}, {who.text} {_agreeing(verb, who.number == 'plural')} {subject}.",
            f"{capitalised(subject)} is {g.adjective('abstract')}: {fact}.",
            f"Many {plural(g.noun('role'))} {verb} {subject}, although {fact}.",
            f"{lead}, {subject} was {g.adjective('abstract')}, and {_aside(w)}.",
            f"No {counted(g.noun('role'), 'singular')} could {verb} {subject} before {w.dice.integer(1700, 2000)}.",
        )
    )


def _aside(w: Writer) -> str:
    return w.grammar.clause(tense="past", depth=1, bare=True).statement()


def _agreeing(verb: str, many: bool) -> str:
    return verb if many else third_person(verb)
