"""Documents in which names, numbers and words come back, so that a model must copy from context."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.corpus.morphology import capitalised, past, plural, with_article
from interp_lab.corpus.writer import Writer

_CONSONANTS = "bcdfghjklmnprstvwz"
_VOWELS = "aeiou"
_NUMBERED = ("locker", "room", "ticket", "seat", "badge", "code", "phone", "desk", "key", "account")


def ledger(w: Writer) -> str:
    """Facts about several people, then the same facts asked for or restated in another order."""
    people = w.cast(w.dice.integer(3, 6))
    what = w.dice.pick(_NUMBERED)
    values = {person.given: str(w.dice.integer(10, 9999)) for person in people}
    told = [w.sentence(lambda name=name, value=value: _told(w, name, what, value)) for name, value in values.items()]
    asked = [
        _recalled(w, name, what, values[name]) for name in w.dice.sample(tuple(values), w.dice.integer(2, len(values)))
    ]
    return w.dice.pick((" ", "\n")).join([*told, *asked])


def _told(w: Writer, name: str, what: str, value: str) -> str:
    verb = past(w.dice.pick(w.words.verbs.on_document))
    document, time = with_article(w.grammar.noun("document")), w.dice.pick(w.words.modifiers.past_time)
    return w.dice.pick(
        (
            f"The {what} of {name} is {value}, and {name} {verb} {document} {time}.",
            f"{name} has {what} {value} and {verb} {document}.",
            f"{capitalised(time)}, {name} got {what} {value} with {document}.",
        )
    )


def _recalled(w: Writer, name: str, what: str, value: str) -> str:
    return w.dice.pick(_recalls(name, what, value))


def _recalls(name: str, what: str, value: str) -> tuple[str, str, str, str]:
    return (
        f"Question: What is the {what} of {name}? Answer: {value}.",
        f"The {what} of {name} is {value}.",
        f"Which {what} does {name} have? {capitalised(what)} {value}.",
        f"{name}: {what} {value}.",
    )


def roster(w: Writer) -> str:
    """One four-digit number for each of a few people, then the number of every one of them asked for."""
    people = w.cast(w.dice.integer(2, 5))
    what = w.dice.pick(_NUMBERED)
    brief = w.dice.chance(0.5)
    entries = {person.given: _entry(w, person.given, what, brief) for person in people}
    style = w.dice.integer(0, 3)
    order = w.dice.sample(tuple(entries), len(entries))
    asked = [_recalls(name, what, entries[name][0])[style] for name in order]
    return w.dice.pick((" ", "\n")).join([*(told for _, told in entries.values()), *asked])


def _entry(w: Writer, name: str, what: str, brief: bool) -> tuple[str, str]:
    value = ""

    def fill() -> str:
        nonlocal value
        value = str(w.dice.integer(1000, 9999))
        return f"The {what} of {name} is {value}." if brief else _told(w, name, what, value)

    told = w.sentence(fill)
    return value, told


def invented_word(w: Writer) -> str:
    """A pronounceable word that no dictionary holds."""
    syllables = (w.dice.pick(_CONSONANTS) + w.dice.pick(_VOWELS) for _ in range(w.dice.integer(2, 4)))
    return "".join(syllables) + (w.dice.pick(_CONSONANTS) if w.dice.chance(0.5) else "")


def echo(w: Writer) -> str:
    """A sequence of unrelated words, names, numbers or invented words that is repeated."""
    makers: tuple[Callable[[], str], ...] = (
        lambda: invented_word(w),
        lambda: w.grammar.noun(w.dice.pick(("object", "animal", "food", "tool", "nature"))),
        lambda: str(w.dice.integer(2, 9999)),
        lambda: f"{w.dice.integer(0, 0xFFFFFF):06x}",
        lambda: w.person().given,
        lambda: w.dice.pick(w.words.code.nouns),
        lambda: w.grammar.adjective("object"),
        lambda: w.dice.pick(("(", ")", "[", "]", "=", "+", "%", "#", "/", "&", "_", "@", "*", "{", "}", "<", ">", ";")),
    )
    chosen = w.dice.sample(makers, w.dice.integer(1, len(makers)))
    join = w.dice.pick((" ", " ", "\n", ", ", "-"))
    length = w.dice.integer(8, 60)
    once = w.sentence(lambda: join.join(w.dice.pick(chosen)() for _ in range(length)))
    return w.dice.pick((join, "\n", " | ")).join([once] * w.dice.integer(2, 4))


def table(w: Writer) -> str:
    """Rows of fields about few entities that come back from row to row."""
    names = [person.given for person in w.cast(w.dice.integer(2, 5))]
    things = [w.grammar.noun("object") for _ in range(3)]
    bar = w.dice.pick((", ", " | ", "\t"))
    head = bar.join(("name", "item", "count", "city"))
    cities = w.dice.sample(w.words.places.cities, 3)
    homes = {name: w.dice.pick(cities) for name in names}
    rows = [head]
    for _ in range(w.dice.integer(5, 14)):
        name = w.dice.pick(names)
        rows.append(
            w.sentence(lambda n=name: bar.join((n, w.dice.pick(things), str(w.dice.integer(1, 999)), homes[n])))
        )
    return "\n".join(rows)


def steps(w: Writer) -> str:
    """A recipe or a household task as a numbered or bulleted list."""
    i = w.words.instructions
    cooking = w.dice.chance(0.5)
    title = f"How to make {w.dice.pick(i.dishes)}:" if cooking else f"How to {w.dice.pick(i.tasks)}:"
    bullet = w.dice.pick(("- ", "* ", ""))
    lines = [title]
    for number in range(1, w.dice.integer(4, 9)):
        mark = bullet or f"{number}. "
        lines.append(mark + w.sentence(lambda: _cooking(w) if cooking else _handiwork(w)))
    return "\n".join(lines)


def _cooking(w: Writer) -> str:
    i, g = w.words.instructions, w.grammar
    verb, food, other = w.dice.pick(i.cook_verbs), plural(g.noun("food")), w.dice.pick(w.words.nouns.mass)
    minutes = w.dice.integer(2, 60)
    return w.dice.pick(
        (
            f"{capitalised(verb)} the {food} in a {w.dice.pick(i.containers)} for {minutes} minutes.",
            f"Add {minutes * 5} grams of {other} to the {food} and {verb} gently.",
            f"{capitalised(verb)} {w.dice.integer(2, 9)} {g.adjective('food')} {food} with some {other}.",
            f"Do not {verb} the {food} until the {other} is {g.adjective('food')}.",
        )
    )


def _handiwork(w: Writer) -> str:
    i, g = w.words.instructions, w.grammar
    verb, part, other = w.dice.pick(i.task_verbs), w.dice.pick(i.parts), w.dice.pick(i.parts)
    tool, manner = g.noun_phrase("tool", "singular", 0).text, w.dice.pick(w.words.modifiers.manner)
    return w.dice.pick(
        (
            f"{capitalised(verb)} the {part} {manner} with {tool}.",
            f"{capitalised(verb)} every {part} before you {w.dice.pick(i.task_verbs)} the {other}.",
            f"If the {part} is {g.adjective('object')}, {verb} the {other} first.",
            f"Never {verb} the {part} without {tool}.",
        )
    )
