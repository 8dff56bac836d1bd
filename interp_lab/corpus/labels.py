"""Labels of documents as columns: every label with its name as given and the narrowest type that holds its values."""

from __future__ import annotations

import re
from collections.abc import Sequence

from interp_lab.contracts.store import LabelField, LabelType
from interp_lab.corpus.document import Document, LabelValue
from interp_lab.errors import InvalidDocuments

CATEGORIES_MAX = 50
"""Different texts above which a label is free text."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def label_fields(documents: Sequence[Document]) -> tuple[LabelField, ...]:
    """Return the labels that documents carry, in order of first appearance.

    Raises:
        InvalidDocuments: A label has a name that cannot be that of a column.
    """
    values: dict[str, list[LabelValue]] = {}
    for document in documents:
        for name, value in document.labels.items():
            values.setdefault(name, []).append(value)
    for name in values:
        if not _NAME.fullmatch(name):
            raise InvalidDocuments(
                f"{name[:80]!r} cannot be the name of a label: letters, digits, '_', '.' and '-' only.",
                remedy="Choose the labels to keep with label_fields, or rename the field.",
            )
    return tuple(LabelField(name=name, type=_type(found)) for name, found in values.items())


def label_values(label: LabelField, documents: Sequence[Document]) -> list[LabelValue | None]:
    """Return one value per document; a label of mixed types is text."""
    values = [document.labels.get(label.name) for document in documents]
    if label.type in ("string", "category"):
        return [None if value is None else _text(value) for value in values]
    if label.type == "number":
        return [None if value is None else float(value) for value in values]
    return values


def target_texts(documents: Sequence[Document], name: str) -> tuple[str, ...]:
    """Return the label `name` of every document, as the text that a decoder is to read.

    Raises:
        InvalidDocuments: A document lacks it, or it is not text.
    """
    values = [document.labels.get(name) for document in documents]
    wrong = [
        d.id for d, value in zip(documents, values, strict=True) if not isinstance(value, str) or not value.strip()
    ]
    if wrong:
        there = sorted({label for document in documents[:1000] for label in document.labels})
        raise InvalidDocuments(
            f"{len(wrong)} of {len(documents)} documents have no text as label {name!r}, among them {wrong[0]!r}.",
            remedy=f"Name a label with the text that the decoder reads as decoder.target; labels are {there[:20]}.",
        )
    return tuple(value for value in values if isinstance(value, str))


def _type(values: Sequence[LabelValue]) -> LabelType:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int} and all(abs(value) < 2**63 for value in values if isinstance(value, int)):
        return "integer"
    if kinds <= {int, float}:
        return "number"
    return "category" if len({_text(value) for value in values}) <= CATEGORIES_MAX else "string"


def _text(value: LabelValue) -> str:
    return value if isinstance(value, str) else str(value)
