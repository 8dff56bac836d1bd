"""Measurement unit next: the text stops where a unit of measurement has to follow."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Earlier, Family, Side, unmarked
from interp_lab.corpus.criteria.frames import Frame, Slots, framed
from interp_lab.corpus.criteria.named import NAMED
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.lexicon import Unit
from interp_lab.corpus.morphology import capitalised, past

_ALL = ("length", "mass", "volume", "time", "temperature", "speed")
_DIMENSIONS = {
    "length": ("a length of", "a height of", "a depth of", "a distance of", "a width of"),
    "mass": ("a weight of", "a mass of", "a load of"),
    "volume": ("a volume of",),
    "time": ("a duration of", "a delay of"),
    "temperature": ("a temperature of",),
    "speed": ("a speed of", "a top speed of"),
}
_INDICES = (
    "a page total of",
    "a rank of",
    "a score of",
    "a grade of",
    "a number of",
    "an index of",
    "a code of",
    "a rating of",
)
_PLACES = ("room", "gate", "page", "seat", "track", "line", "box", "case", "part", "lot", "row", "hall")


def _value(scene: Scene, quantity: str) -> tuple[str, Unit]:
    """A number as it would be measured, and its unit."""
    unit = scene.dice.pick(scene.words.units[quantity])
    whole = unit.low + unit.step * scene.dice.integer(0, (unit.high - unit.low) // unit.step)
    return str(whole), unit


def _sides(scene: Scene, measured: str, other: str, *, kind: str, quantity: str) -> Contrast:
    """Both sides end in the same number; `measured` and `other` are what stands before it."""
    number, _ = _value(scene, quantity)
    return Contrast(
        Side(capitalised(f"{measured} ⟦{number}⟧"), "measured"),
        Side(capitalised(f"{other} ⟦{number}⟧"), kind),
        {"quantity": quantity, "n_digits": len(number)},
    )


def _weighed(scene: Scene) -> Contrast:
    subject = f"{scene.thing()} that {scene.person()} {past(scene.verb())}"
    adverb = scene.dice.pick(("almost", "about", "exactly", "only"))
    other = scene.dice.pick(("was number", "became lot", "had number", "was item", "was case"))
    return _sides(scene, f"{subject} weighed {adverb}", f"{subject} {other}", kind="identifier", quantity="mass")


def _measured(scene: Scene) -> Contrast:
    subject, place = scene.thing(), scene.place()
    verb = scene.dice.pick(("measured", "measures", "stretched over", "was longer by"))
    other = f"{scene.dice.pick(('was in', 'came from', 'stood at', 'belonged to'))} {scene.dice.pick(_PLACES)}"
    return _sides(
        scene, f"{subject} {place} {verb}", f"{subject} {place} {other}", kind="place-number", quantity="length"
    )


def _dimension(scene: Scene) -> Contrast:
    quantity = scene.dice.pick(_ALL)
    lead = f"{scene.person()} {past(scene.verb())} one {scene.described()} with"
    measured, other = scene.dice.pick(_DIMENSIONS[quantity]), scene.dice.pick(_INDICES)
    return _sides(scene, f"{lead} {measured}", f"{lead} {other}", kind="index", quantity=quantity)


def _lasted(scene: Scene) -> Contrast:
    event = scene.dice.pick(("meeting", "trip", "lesson", "concert", "strike", "search", "journey"))
    subject = f"the {event} with {scene.person()}"
    measured = scene.dice.pick(("took", "lasted", "went on for", "was over in"))
    other = f"{scene.dice.pick(('was in', 'moved to', 'began in'))} {scene.dice.pick(('room', 'hall', 'house'))}"
    place = scene.place()
    return _sides(
        scene, f"{subject} {place} {measured}", f"{subject} {place} {other}", kind="place-number", quantity="time"
    )


def _drove(scene: Scene) -> Contrast:
    subject = scene.dice.pick(("the train", "the bus", "the ship", "the truck", "the tram", "the van"))
    tail = f"that {scene.person()} {scene.dice.pick(('drove', 'missed', 'followed', 'watched', 'took'))}"
    measured = scene.dice.pick(("ran another", "went a further", "slowed to about"))
    other = scene.dice.pick(("ran on line", "went as number", "stopped at gate", "came to track"))
    quantity = "speed" if "slowed" in measured else "length"
    return _sides(
        scene, f"{subject} {tail} {measured}", f"{subject} {tail} {other}", kind="identifier", quantity=quantity
    )


def _recipe(scene: Scene) -> Contrast:
    words = scene.words
    lead = f"for the {scene.dice.pick(words.instructions.dishes)}, {scene.dice.pick(('take', 'fill', 'use', 'find'))}"
    vessel = f"the {scene.dice.pick(words.instructions.containers)}"
    measured = scene.dice.pick((f"{vessel} and add", f"{vessel} and pour in", f"{vessel} and boil it for"))
    other = scene.dice.pick((f"{vessel} and see step", f"{vessel} and turn to page", f"{vessel} and follow recipe"))
    quantity = "time" if "boil" in measured else "volume"
    return _sides(scene, f"{lead} {measured}", f"{lead} {other}", kind="reference", quantity=quantity)


def _second_value(scene: Scene) -> Contrast:
    quantity = scene.dice.pick(("length", "time", "mass"))
    number, unit = _value(scene, quantity)
    first = f"after the first {number} {unit.plural}, {scene.person()} {scene.place()}"
    measured = scene.dice.pick(("added another", "wanted a further", "counted on another"))
    other = scene.dice.pick(("opened box number", "moved on to page", "called for number"))
    return _sides(scene, f"{first} {measured}", f"{first} {other}", kind="unit-earlier", quantity=quantity)


def _sack(scene: Scene) -> Contrast:
    mass = scene.dice.pick(scene.words.nouns.mass)
    lead = f"the {scene.dice.pick(('box', 'sack', 'jar', 'crate', 'bag'))} of {mass} {scene.place()}"
    measured = scene.dice.pick(("was heavier by", "was lighter by", "lost about", "gained nearly"))
    other = scene.dice.pick(("was meant for", "was shared by", "was used by", "went to all"))
    return _sides(scene, f"{lead} {measured}", f"{lead} {other}", kind="count", quantity="mass")


def _heated(scene: Scene) -> Contrast:
    subject = f"{scene.person()} {scene.place()}"
    device = scene.dice.pick(("the oven", "the stove", "the tank", "the kiln", "the heater"))
    measured = scene.dice.pick((f"heated {device} to", f"cooled {device} to", f"kept {device} at"))
    other = scene.dice.pick((f"set {device} to mode", f"moved {device} to bay", f"kept {device} as lot"))
    return _sides(scene, f"{subject} {measured}", f"{subject} {other}", kind="identifier", quantity="temperature")


def _walked(scene: Scene) -> Contrast:
    who, place = scene.person(), scene.place()
    measured = scene.dice.pick(("walked", "walked for", "swam", "ran for", "sailed", "waited for"))
    other = scene.dice.pick(("met", "fed all", "sold", "counted", "called up", "wanted all"))
    quantity = "time" if "for" in measured else "length"
    return _sides(scene, f"{who} {place} {measured}", f"{who} {place} {other}", kind="count", quantity=quantity)


def _distance(scene: Scene) -> Contrast:
    cities = scene.words.places.cities
    tail = f"to {scene.fresh(cities)} that {scene.person()} {scene.dice.pick(('took', 'missed', 'liked', 'chose'))}"
    lead, rest = f"from {scene.fresh(cities)}", scene.dice.pick(("", f" {scene.place()}"))
    measured = f"the {scene.dice.pick(('distance', 'walk', 'flight', 'journey'))} {lead} {tail}{rest} is about"
    other = f"the {scene.dice.pick(('bus', 'train', 'flight', 'ferry'))} {lead} {tail}{rest} is number"
    return _sides(scene, measured, other, kind="identifier", quantity="length")


def _framed(frame: Frame, scene: Scene, slots: Slots) -> Contrast:
    """A frame says what stands before the number."""
    measured, other = frame.sides(scene, slots)
    return _sides(scene, measured, other, kind=frame.kinds[1], quantity=str(frame.labels["quantity"]))


_FAMILIES: dict[str, Family] = {
    "weighed": _weighed,
    "measured": _measured,
    "dimension": _dimension,
    "lasted": _lasted,
    "drove": _drove,
    "recipe": _recipe,
    "second-value": _second_value,
    "sack": _sack,
    "heated": _heated,
    "walked": _walked,
    "distance": _distance,
    **framed("units", NAMED, write=_framed),
}


def _earlier(scene: Scene, family: Family) -> str:
    """A finished sentence with a number, measured or not."""
    other = family(scene.branch())
    if scene.dice.chance(0.5):
        return f"{unmarked(other.negative.text)[0]}. "
    unit = scene.dice.pick(scene.words.units[str(other.labels["quantity"])])
    return f"{unmarked(other.positive.text)[0]} {unit.plural}. "


DESCRIPTION = CriterionDescription(
    name="measurement-unit",
    title="Measurement unit next",
    criterion="The next word has to be a unit of measurement.",
    description=(
        "Every text stops after a number. Whether grams, meters or nothing of the kind follows depends on what the "
        "number "
        "counts, so a model that predicts the unit must carry the measured quantity to the last token."
    ),
    positives=(
        "A text that ends in a measured number whose unit is still to come; the span is the number (on both sides)."
    ),
    negatives=(
        "The same number at the same place as an identifier, the number of a room, page or line, an index or a "
        "count of "
        "things; also after a unit earlier in the sentence."
    ),
    subtypes={
        "measured": "positive: a measured value without its unit yet",
        "identifier": "hard negative: the number names a thing",
        "place-number": "hard negative: the number of a room, gate or seat",
        "index": "hard negative: a score, rank or code",
        "reference": "hard negative: a step or page to turn to",
        "unit-earlier": "hard negative: a unit stands earlier, the last number has none",
        "count": "hard negative: the number counts people or things",
    },
    pooling="last",
    labels={
        "quantity": "what the positive side of the contrast measures (both sides)",
        "n_digits": "digits of the last number (both sides)",
        "earlier_number": "whether an earlier sentence has a number, with or without a unit (both sides)",
    },
    cues=("words of measuring before the number: weighed, measured, a height of",),
    caveats=(
        "That a unit follows is what the context asks for, not what any given model predicts; 'other' texts could be "
        "continued with a unit by force.",
        "Every text ends in digits, so digits say nothing.",
    ),
)

CRITERION = Criterion(
    DESCRIPTION,
    _FAMILIES,
    module=__name__,
    version=3,
    context=Context(sentences=(0, 0, 1), earlier=Earlier(_earlier, "earlier_number")),
)
