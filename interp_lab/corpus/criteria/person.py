"""A person's name: the last sentence refers to a person by name."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Contrast, Criterion, Side
from interp_lab.corpus.criteria.frames import Slots, framed
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised, past

_AMBIGUOUS = (
    "Florence",
    "Sydney",
    "Austin",
    "Jordan",
    "Chelsea",
    "Victoria",
    "Charlotte",
    "Georgia",
    "Adelaide",
    "Vienna",
)
_FIRMS = (
    "Northern", "Harbor", "Silver", "Golden", "Central", "Royal", "Eastern", "Summit", "Atlas", "Pioneer", "Coastal",
    "United",
)  # fmt: skip
_TRADES = ("Mills", "Motors", "Books", "Foods", "Bank", "Rail", "Press", "Tools", "Energy", "Glass")
_LANDMARKS = ("Lake", "Mount", "Port", "Fort", "Cape")
_HOLIDAYS = ("Easter", "Christmas", "Ramadan", "Carnival", "Halloween")


def _sides(named: str, other: str, kinds: tuple[str, str], *, opens: bool = False, name_word: bool = False) -> Contrast:
    return Contrast(
        Side(f"{named}.", kinds[0], {"name_word": True}),
        Side(f"{other}.", kinds[1], {"name_word": name_word}),
        {"opens_sentence": opens},
    )


def _given(scene: Scene) -> str:
    names = scene.words.names
    return scene.fresh(names.feminine if scene.dice.chance(0.5) else names.masculine)


def _surname(scene: Scene) -> str:
    return scene.fresh(scene.words.names.surnames)


def _city(scene: Scene) -> str:
    return scene.fresh([city for city in scene.words.places.cities if city not in _AMBIGUOUS])


def _weekday(scene: Scene) -> str:
    return scene.dice.pick(scene.words.calendar.weekdays)


def _firm(scene: Scene) -> str:
    return f"{scene.dice.pick(_FIRMS)} {scene.dice.pick(_TRADES)}"


def _letter_from(scene: Scene) -> Contrast:
    event = f"{past(scene.verb())} {scene.thing()} {scene.place()}"
    noun, word = scene.dice.pick(("friend", "cousin", "letter", "visitor", "story")), scene.dice.pick(("from", "of"))
    lead, rest = f"The {noun} {word}", f"reached {scene.person()} who {event}"
    return _sides(f"{lead} ⟦{_given(scene)}⟧ {rest}", f"{lead} ⟦{_city(scene)}⟧ {rest}", ("given-name", "city"))


def _full_name(scene: Scene) -> Contrast:
    rest = f"{past(scene.verb())} {scene.thing()} {scene.place()}"
    return _sides(
        f"⟦{_given(scene)} {_surname(scene)}⟧ {rest}", f"⟦{_firm(scene)}⟧ {rest}", ("full-name", "company"), opens=True
    )


def _title(scene: Scene) -> Contrast:
    lead = f"{capitalised(scene.thing())} came from"
    surname, tail = _surname(scene), f"and {scene.person()} {past(scene.verb())} it"
    title, landmark = scene.dice.pick(("Mr", "Mrs", "Dr", "Miss", "Judge", "Captain")), scene.dice.pick(_LANDMARKS)
    return _sides(
        f"{lead} ⟦{title} {surname}⟧ {tail}",
        f"{lead} ⟦{landmark} {surname}⟧ {tail}",
        ("title-and-name", "landmark"),
        name_word=True,
    )


def _ambiguous(scene: Scene) -> Contrast:
    name, time = scene.dice.pick(_AMBIGUOUS), scene.dice.pick(scene.words.modifiers.past_time)
    tail = f"{time} when {scene.person()} {past(scene.verb())} {scene.thing()}"
    meet, visit = scene.dice.pick(
        (("thanked", "toured"), ("asked", "reached"), ("married", "mapped"), ("phoned", "flew to"), ("hired", "left"))
    )
    who = scene.dice.pick(("They", "We", "The guests", "Some friends", "The pilots"))
    return _sides(
        f"{who} {meet} ⟦{name}⟧ {tail}", f"{who} {visit} ⟦{name}⟧ {tail}", ("given-name", "city"), name_word=True
    )


def _possessive(scene: Scene) -> Contrast:
    rest = f"{scene.described()} was the one that {scene.person()} {past(scene.verb())}"
    return _sides(f"⟦{_given(scene)}⟧'s {rest}", f"⟦{_city(scene)}⟧'s {rest}", ("given-name", "city"), opens=True)


def _for_day(scene: Scene) -> Contrast:
    lead = f"{capitalised(scene.person())} {past(scene.verb())} {scene.thing()} {scene.place()} for"
    day = scene.dice.pick((*scene.words.calendar.weekdays, *scene.words.calendar.months, *_HOLIDAYS))
    return _sides(f"{lead} ⟦{_given(scene)}⟧", f"{lead} ⟦{day}⟧", ("given-name", "day-or-month"))


def _ship(scene: Scene) -> Contrast:
    name, who = _given(scene), scene.dice.pick(("sailor", "captain", "cook", "pilot", "painter", "guard"))
    rest = f"and {past(scene.verb())} {scene.thing()} {scene.place()}"
    first, then = scene.dice.pick(
        (("worked with", "worked on the"), ("sailed with", "sailed the"), ("waited for", "boarded the"))
    )
    return _sides(
        f"The {who} {first} ⟦{name}⟧ {rest}",
        f"The {who} {then} ⟦{name}⟧ {rest}",
        ("given-name", "ship"),
        name_word=True,
    )


def _between(scene: Scene) -> Contrast:
    lead, tail = f"{capitalised(scene.person())} {past(scene.verb())} {scene.thing()}", scene.place()
    word = scene.dice.pick(("like", "before", "unlike", "after"))
    return _sides(
        f"{lead} {tail} {word} ⟦{_given(scene)} {_surname(scene)}⟧",
        f"{lead} {tail} {word} ⟦{_firm(scene)}⟧",
        ("full-name", "company"),
    )


_SLOTS: Slots = {"given": _given, "surname": _surname, "city": _city, "weekday": _weekday, "firm": _firm}

DESCRIPTION = CriterionDescription(
    name="person-name",
    title="A person's name",
    criterion="The last sentence refers to a person by name.",
    description=(
        "A model that keeps track of who is meant has to tell people's names from cities, companies, ships, "
        "landmarks and "
        "days, all of which are capitalised and stand in the same position."
    ),
    positives=(
        "A sentence with a given name, a full name, or a title and surname; the span is the name (on negatives what"
        " stands in its place)."
    ),
    negatives=(
        "The same sentence with a city, company, landmark, day or pronoun in the name's place, or with the same name "
        "as the name of a city or ship."
    ),
    subtypes={
        "given-name": "positive: a given name",
        "full-name": "positive: given name and surname",
        "title-and-name": "positive: a title and a surname",
        "city": "hard negative: a city, sometimes spelt like a person's name",
        "company": "hard negative: two capitalised words that name a firm",
        "landmark": "hard negative: a lake, mountain, port or street that has the same surname",
        "pronoun": "negative: 'someone' or the like, capitalised where it opens the sentence",
        "day-or-month": "hard negative: a capitalised day, month or holiday",
        "ship": "hard negative: a ship or boat that has the same given name",
    },
    pooling="span",
    labels={
        "opens_sentence": "whether the name or its substitute is the sentence's first word (both sides)",
        "name_word": "whether the text has a word that is also a person's name",
    },
    cues=("the names themselves, which a word list could know",),
    caveats=("Names are of many languages but written in Latin letters only.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "letter-from": _letter_from,
        "full-name": _full_name,
        "title": _title,
        "ambiguous": _ambiguous,
        "possessive": _possessive,
        "for-day": _for_day,
        "ship": _ship,
        "between": _between,
        **framed("person", _SLOTS),
    },
    module=__name__,
    version=2,
)
