"""The words that the grammar fills its slots with: one JSON file per section under `data/`, read once and checked.

Owns the shape of the word lists; how words inflect belongs to `morphology`, how they combine to `grammar`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from interp_lab.contracts.base import Contract

Words = tuple[str, ...]


class Names(Contract):
    """Given names by the pronoun that refers to them, and surnames."""

    feminine: Words
    masculine: Words
    surnames: Words


class Places(Contract):
    """Where things happen."""

    cities: Words
    countries: Words
    rooms: Words
    sites: Words
    streets: Words


class Nouns(Contract):
    """Singular count nouns by what one can do with them, mass nouns, and plurals that do not follow the rule."""

    role: Words
    animal: Words
    object: Words
    food: Words
    tool: Words
    document: Words
    building: Words
    abstract: Words
    nature: Words
    mass: Words
    irregular_plurals: dict[str, str]


class Verbs(Contract):
    """Base forms by what they take, irregular past and participle, and verbs that double their last letter."""

    on_role: Words
    on_animal: Words
    on_object: Words
    on_food: Words
    on_tool: Words
    on_document: Words
    on_building: Words
    on_abstract: Words
    on_nature: Words
    intransitive: Words
    animal_intransitive: Words
    thing_intransitive: Words
    speech: Words
    mental: Words
    giving: Words
    motion: Words
    irregular: dict[str, tuple[str, str]]
    doubling: Words


class Modifiers(Contract):
    """Adjectives by what they fit, adverbs, times, connectives and prepositions."""

    size: Words
    colour: Words
    material: Words
    age: Words
    person: Words
    state: Words
    idea: Words
    food: Words
    manner: Words
    frequency: Words
    past_time: Words
    present_time: Words
    future_time: Words
    degree: Words
    connectives: Words
    prepositions: Words


class Calendar(Contract):
    """Months, weekdays, seasons and things that happen on a date."""

    months: Words
    weekdays: Words
    seasons: Words
    events: Words


class Unit(Contract):
    """A unit of measurement and the range of values that is natural for it."""

    name: str
    plural: str
    symbol: str
    low: int
    high: int
    step: int


class Reviews(Contract):
    """Products, their aspects, and words that judge them."""

    products: Words
    aspects: Words
    positive: Words
    negative: Words
    positive_verbs: Words
    negative_verbs: Words
    positive_closings: Words
    negative_closings: Words


class Chat(Contract):
    """Requests that are refused or met, and the words of the reply."""

    forbidden_acts: Words
    forbidden_targets: Words
    allowed_acts: Words
    refusal_openings: Words
    refusal_reasons: Words
    alternatives: Words
    compliances: Words
    user_tags: Words
    assistant_tags: Words


class Evaluation(Contract):
    """Talk about being tested, and its opposite."""

    kinds: Words
    subjects: Words
    observers: Words
    aware: Words
    unaware: Words
    conditions: Words


class Argument(Contract):
    """One argument of a tool and the kind of value it takes."""

    name: str
    kind: str


class Tool(Contract):
    """A callable tool of an assistant."""

    name: str
    purpose: str
    arguments: tuple[Argument, ...]


class Tools(Contract):
    """The tools that assistants call."""

    tools: tuple[Tool, ...]


class Code(Contract):
    """Identifiers of invented Python code and phrases that describe it."""

    verbs: Words
    nouns: Words
    adjectives: Words
    types: Words
    classes: Words
    modules: Words
    exceptions: Words
    purposes: Words


class Instructions(Contract):
    """Recipes and household tasks."""

    dishes: Words
    cook_verbs: Words
    containers: Words
    tasks: Words
    task_verbs: Words
    parts: Words


class Topic(Contract):
    """What an expository text is about."""

    subjects: Words
    verbs: Words
    facts: Words


class Lexicon(Contract):
    """Every word list, by section."""

    names: Names
    places: Places
    nouns: Nouns
    verbs: Verbs
    modifiers: Modifiers
    calendar: Calendar
    units: dict[str, tuple[Unit, ...]]
    reviews: Reviews
    chat: Chat
    evaluation: Evaluation
    tools: Tools
    code: Code
    instructions: Instructions
    topics: dict[str, Topic]


@cache
def lexicon() -> Lexicon:
    """The word lists of this package."""
    data = resources.files("interp_lab.corpus") / "data"
    sections = (f'"{name}": {(data / f"{name}.json").read_text(encoding="utf-8")}' for name in Lexicon.model_fields)
    return Lexicon.model_validate_json("{" + ",".join(sections) + "}")
