"""Which documents of the project's own make up a text, in which proportion, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from interp_lab.corpus.dice import Dice
from interp_lab.corpus.families import assistant, factual, narrative, people, recurring, technical
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer


@dataclass(frozen=True)
class Family:
    """A kind of document, how it is written and how often."""

    name: str
    write: Callable[[Writer], str]
    weight: float


FAMILIES: tuple[Family, ...] = (
    Family("story", narrative.story, 16),
    Family("conversation", narrative.conversation, 8),
    Family("description", narrative.description, 9),
    Family("questions", narrative.questions, 5),
    Family("review", factual.review, 7),
    Family("measurements", factual.measurements, 7),
    Family("chronicle", factual.chronicle, 7),
    Family("exposition", factual.exposition, 7),
    Family("chat", assistant.chat, 6),
    Family("tool_use", assistant.tool_use, 5),
    Family("evaluation_talk", assistant.evaluation_talk, 4),
    Family("program", technical.program, 4),
    Family("tutorial", technical.tutorial, 5),
    Family("steps", recurring.steps, 4),
    Family("ledger", recurring.ledger, 6),
    Family("table", recurring.table, 3),
    Family("echo", recurring.echo, 9),
    # drills: in no text unless it asks for them
    Family("anecdotes", people.anecdotes, 0),
    Family("dialogue", people.dialogue, 0),
    Family("roster", recurring.roster, 0),
)


_AS_USUAL: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Document:
    """A text, the family that wrote it and its place in the stream."""

    family: str
    index: int
    text: str


def document(split: Split, seed: int, index: int, weights: Mapping[str, float] = _AS_USUAL) -> Document:
    """The document at that place of the stream; every place can be written without those before it.

    `weights` replaces the usual weight of the families that it names.
    """
    dice = Dice(seed, f"{split}/{index}")
    family = dice.weighted(FAMILIES, [weights.get(family.name, family.weight) for family in FAMILIES])
    return Document(family.name, index, family.write(Writer(dice, split)))


def documents(split: Split, seed: int, weights: Mapping[str, float] = _AS_USUAL) -> Iterator[Document]:
    """An endless stream of documents for that use."""
    index = 0
    while True:
        yield document(split, seed, index, weights)
        index += 1
