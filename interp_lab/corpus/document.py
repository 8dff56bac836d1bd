"""A document: one text or one conversation with what is known about it. Readers yield them; nothing is interpreted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from interp_lab.contracts.prompts import ScoredPrompt

LabelValue = str | bool | int | float


class Message(NamedTuple):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One unit of text of a corpus."""

    id: str
    text: str = ""
    """Empty for a conversation, whose text depends on the model's chat template."""
    messages: tuple[Message, ...] = ()
    group: str | None = None
    pair: str | None = None
    subtype: str | None = None
    split: str | None = None
    score: float | None = None
    spans: tuple[tuple[int, int], ...] = ()
    """Labelled character ranges, the end not included."""
    labels: Mapping[str, LabelValue] = field(default_factory=dict[str, LabelValue])

    @property
    def n_characters(self) -> int:
        """Characters of the text, or of all messages."""
        return len(self.text) + sum(len(message.content) for message in self.messages)


class Row(NamedTuple):
    """One row of a source; it has no document if it is blank."""

    document: Document | None
    share: float
    """Share of the source that ends with this row."""


Rows = Iterator[Row]


def from_prompt(prompt: ScoredPrompt) -> Document:
    """Return a scored prompt, which has an id, as a document."""
    return Document(
        id=prompt.id or "",
        text=prompt.text,
        group=prompt.group,
        pair=prompt.pair,
        subtype=prompt.subtype,
        score=prompt.score,
        spans=tuple((span.start, span.end) for span in prompt.spans),
        labels=dict(prompt.labels),
    )
