"""Labels of documents as columns: every label with its name as given and the narrowest type that holds its values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from interp_lab.contracts.store import LabelField, LabelType
from interp_lab.corpus.document import Document, LabelValue
from interp_lab.errors import InvalidDocuments

CATEGORIES_MAX = 50
"""Different texts above which a label is free text."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(slots=True)
class _Seen:
    """What the values of a label have in common, as they go by."""

    kinds: set[type] = field(default_factory=set[type])
    texts: set[str] = field(default_factory=set[str])
    """Different values, no more than needed to see that they are many."""
    small: bool = True
    """Whether every whole number has at most 64 bits."""

    def add(self, value: LabelValue) -> None:
        """Take a value."""
        self.kinds.add(type(value))
        if len(self.texts) <= CATEGORIES_MAX:
            self.texts.add(_text(value))
        if isinstance(value, int) and abs(value) >= 2**63:
            self.small = False

    @property
    def type(self) -> LabelType:
        """The narrowest type that holds all of them."""
        if self.kinds == {bool}:
            return "boolean"
        if self.kinds == {int} and self.small:
            return "integer"
        if self.kinds <= {int, float}:
            return "number"
        return "category" if len(self.texts) <= CATEGORIES_MAX else "string"


def label_fields(documents: Iterable[Document]) -> tuple[LabelField, ...]:
    """Return the labels that documents carry, in order of first appearance.

    Raises:
        InvalidDocuments: A label has a name that cannot be that of a column.
    """
    seen: dict[str, _Seen] = {}
    for document in documents:
        for name, value in document.labels.items():
            seen.setdefault(name, _Seen()).add(value)
    for name in seen:
        if not _NAME.fullmatch(name):
            raise InvalidDocuments(
                f"{name[:80]!r} cannot be the name of a label: letters, digits, '_', '.' and '-' only.",
                remedy="Choose the labels to keep with label_fields, or rename the field.",
            )
    return tuple(LabelField(name=name, type=found.type) for name, found in seen.items())


def label_values(label: LabelField, documents: Iterable[Document]) -> list[LabelValue | None]:
    """Return one value per document; a label of mixed types is text."""
    values = [document.labels.get(label.name) for document in documents]
    if label.type in ("string", "category"):
        return [None if value is None else _text(value) for value in values]
    if label.type == "number":
        return [None if value is None else float(value) for value in values]
    return values


def refuse_without_target(documents: Iterable[Document], name: str) -> None:
    """Return if every document has a text as label `name`, which a decoder is to read.

    Raises:
        InvalidDocuments: A document lacks it, or it is not text.
    """
    there: dict[str, None] = {}
    wrong: list[str] = []
    n_documents = n_wrong = 0
    for document in documents:
        n_documents += 1
        there |= dict.fromkeys(document.labels)
        value = document.labels.get(name)
        if not isinstance(value, str) or not value.strip():
            n_wrong += 1
            wrong = wrong or [document.id]
    if wrong:
        raise InvalidDocuments(
            f"{n_wrong} of {n_documents} documents have no text as label {name!r}, among them {wrong[0]!r}.",
            remedy=f"Name a label with the text that the decoder reads as decoder.target; labels are {[*there][:20]}.",
        )


def _text(value: LabelValue) -> str:
    return value if isinstance(value, str) else str(value)
