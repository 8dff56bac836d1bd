"""By which names a latent's dictionary is known, so that words about it are found again."""

from __future__ import annotations

from interp_lab.workflows.features.subject import Subject
from interp_lab.workflows.training.columns import store_hash


def identities_of(subject: Subject) -> tuple[str, ...]:
    """Return the names of its dictionary; without any, its store and column."""
    names: list[str | None] = []
    if subject.view is not None:
        column = subject.view.column(subject.column)
        names.append(column.dictionary_id if column.kind == "codes" else None)
    if subject.dictionary is not None:
        names.append(subject.dictionary.content_hash)
    known = tuple(dict.fromkeys(name for name in names if name))
    if known or subject.view is None:
        return known
    return (f"store {store_hash(subject.view.store)} {subject.column}",)
