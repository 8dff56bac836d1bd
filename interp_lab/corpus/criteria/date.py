"""Date or month: the last sentence names a calendar date or a month."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Contrast, Criterion, Side, opened
from interp_lab.corpus.criteria.frames import Slots, framed
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import participle, past


def _sides(
    dated: str,
    other: str,
    kinds: tuple[str, str],
    *,
    month_word: bool = False,
    digits: bool = False,
    paired: bool = True,
) -> Contrast:
    return Contrast(
        Side(opened(dated) + ".", kinds[0], {"month_word": kinds[0] != "iso-date"}),
        Side(opened(other) + ".", kinds[1], {"month_word": month_word}),
        {"has_digits": digits},
        paired=paired,
    )


def _month(scene: Scene) -> str:
    return scene.dice.pick(scene.words.calendar.months)


def _city(scene: Scene) -> str:
    return scene.dice.pick(scene.words.places.cities)


def _event(scene: Scene) -> str:
    return f"{scene.person()} {past(scene.verb())} {scene.thing()}"


def _in_month(scene: Scene) -> Contrast:
    event = _event(scene)
    return _sides(f"{event} in ⟦{_month(scene)}⟧", f"{event} in ⟦{_city(scene)}⟧", ("month", "place"))


def _opening_month(scene: Scene) -> Contrast:
    event, word = _event(scene), scene.dice.pick(("in", "near", "outside"))
    return _sides(f"in ⟦{_month(scene)}⟧ {event}", f"{word} ⟦{_city(scene)}⟧ {event}", ("month", "place"))


def _season(scene: Scene) -> Contrast:
    event, word = _event(scene), scene.dice.pick(("last", "next", "this", "every"))
    season = scene.dice.pick((*scene.words.calendar.seasons, "week", "morning", "evening"))
    return _sides(f"{word} ⟦{_month(scene)}⟧ {event}", f"{word} ⟦{season}⟧ {event}", ("month", "other-time"))


def _day_month(scene: Scene) -> Contrast:
    event, day = _event(scene), scene.dice.integer(1, 31)
    street = scene.dice.pick(scene.words.places.streets)
    return _sides(
        f"{event} on ⟦{day} {_month(scene)}⟧",
        f"{event} at ⟦{day} {street}⟧",
        ("day-month", "street-number"),
        digits=True,
    )


def _month_day_year(scene: Scene) -> Contrast:
    dice, event = scene.dice, _event(scene)
    day, year = dice.integer(1, 31), dice.integer(1900, 2029)
    hall, row = dice.pick(("Hall", "Gate", "Block", "Dock")), dice.pick(("Row", "Box", "Seat"))
    date = f"⟦{_month(scene)} {day}, {year}⟧"
    return _sides(
        f"on {date}, {event}",
        f"at ⟦{hall} {day}, {row} {year}⟧, {event}",
        ("full-date", "number-in-place"),
        digits=True,
    )


def _iso_date(scene: Scene) -> str:
    dice = scene.dice
    return f"{dice.integer(1950, 2029)}-{dice.integer(1, 12):02d}-{dice.integer(1, 28):02d}"


def _part_number(scene: Scene) -> str:
    """Digits in the shape of a date, with a month and a day that do not exist."""
    dice = scene.dice
    return f"{dice.integer(3, 9)}{dice.integer(100, 999)}-{dice.integer(13, 99)}-{dice.integer(32, 99)}"


def _iso(scene: Scene) -> Contrast:
    event = _event(scene)
    return _sides(
        f"⟦{_iso_date(scene)}⟧ is when {event}",
        f"⟦{_part_number(scene)}⟧ is what {event} with",
        ("iso-date", "part-number"),
        digits=True,
    )


def _counted(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), participle(scene.verb()), scene.thing(), scene.place()
    number, month, things = scene.dice.integer(2, 28), _month(scene), scene.things()
    return _sides(
        f"{who} had {act} {thing} {place} by ⟦{month} {number}⟧",
        f"{who} had {act} ⟦{number} {things}⟧ {place}",
        ("day-month", "count"),
        digits=True,
        paired=False,
    )


def _name(scene: Scene) -> Contrast:
    month, act, thing = scene.dice.pick(("April", "May", "June", "August")), participle(scene.verb()), scene.thing()
    place = scene.place()
    word = scene.dice.pick(("with", "near", "behind"))
    return _sides(
        f"{thing} was {act} {place} in ⟦{month}⟧",
        f"{thing} was {act} {place} {word} ⟦{month}⟧",
        ("month", "person"),
        month_word=True,
    )


def _other_word(scene: Scene) -> Contrast:
    who, verb, thing, place = scene.person(), scene.verb(), scene.thing(), scene.place()
    month, other = scene.dice.pick((("May", "they ⟦may⟧"), ("March", "they ⟦march⟧ to")))
    told = f"{other} {f'{verb} ' if month == 'May' else ''}{thing} {place} before {who} leaves"
    dated = f"in ⟦{month}⟧ they {verb} {thing} {place} before {who} leaves"
    return _sides(dated, told, ("month", "other-word"), month_word=True)


_SLOTS: Slots = {
    "month": lambda scene: scene.fresh(scene.words.calendar.months),
    "weekday": lambda scene: scene.dice.pick(scene.words.calendar.weekdays),
    "season": lambda scene: scene.dice.pick(scene.words.calendar.seasons),
    "city": lambda scene: scene.fresh(scene.words.places.cities),
    "street": lambda scene: scene.dice.pick(scene.words.places.streets),
    "day": lambda scene: str(scene.dice.integer(2, 31)),
    "year": lambda scene: str(scene.dice.integer(1900, 2029)),
    "iso": _iso_date,
    "part": _part_number,
    "date_numbers": lambda scene: ".".join(reversed(_iso_date(scene).split("-"))),
    "part_numbers": lambda scene: ".".join(reversed(_part_number(scene).split("-"))),
}

DESCRIPTION = CriterionDescription(
    name="date-or-month",
    title="A date or month",
    criterion="The last sentence names a calendar date or a month.",
    description=(
        "A model that predicts dates has to know when a capitalised word or a run of digits is part of a date, and "
        "tell "
        "it from a place, a name, an address or a part number in the same position."
    ),
    positives=(
        "A sentence with a month, or a date in one of six written forms; the span is the date (on negatives what "
        "stands in its place)."
    ),
    negatives=(
        "The same sentence with a place, weekday, season, street number or part number in place of the date, "
        "or with a month's word that means something else."
    ),
    subtypes={
        "month": "positive: a month alone",
        "day-month": "positive: day and month",
        "full-date": "positive: month, day and year",
        "iso-date": "positive: year-month-day in digits",
        "dotted-date": "positive: day.month.year in digits",
        "month-year": "positive: month and year",
        "place": "negative: a city or hall in the same position",
        "weekday": "hard negative: a weekday, which is a time but neither date nor month",
        "other-time": "hard negative: a season, week or part of the day",
        "street-number": "hard negative: a number and two capitalised words",
        "number-in-place": "hard negative: a seat or box with the same numbers and commas",
        "part-number": "hard negative: digits and hyphens in the shape of a date with impossible month and day",
        "count": "hard negative: the number counts things",
        "person": "hard negative: April, May, June or August is a person",
        "other-word": "hard negative: 'may' or 'march' is a verb",
    },
    pooling="span",
    labels={
        "has_digits": "whether the sentence has digits (both sides)",
        "month_word": "whether the text has a word that is spelt like a month",
    },
    cues=("names of months", "digits with hyphens or points"),
    caveats=("Weekdays, seasons and clock times count as negatives.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "in-month": _in_month,
        "opening-month": _opening_month,
        "season": _season,
        "day-month": _day_month,
        "month-day-year": _month_day_year,
        "iso": _iso,
        "counted": _counted,
        "name": _name,
        "other-word": _other_word,
        **framed("date", _SLOTS),
    },
    module=__name__,
    version=2,
)
