"""Which format a folder's dictionary is in, and the dictionary read from it; one row per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from interp_lab.bridges import dictionary_learning, gemma_scope, peer_sae, sparsify
from interp_lab.dictionaries.formats.parts import Parts
from interp_lab.errors import InvalidDictionary

SAELENS: Final = "saelens"
_MARKS_SAELENS: Final = ("cfg.json", "sae_weights.safetensors")


class Format(NamedTuple):
    """One format: its name, the files that mark it, and how it is read."""

    name: str
    marks: tuple[str, ...]
    """Files that are there; where one of several will do, separated by a bar."""
    read: Callable[[Path], Parts]


FORMATS: Final = (
    Format("sparsify", (sparsify.CONFIG, sparsify.WEIGHTS), sparsify.read),
    Format(
        "dictionary_learning",
        (dictionary_learning.CONFIG, f"{dictionary_learning.SAFE_WEIGHTS}|{dictionary_learning.WEIGHTS}"),
        dictionary_learning.read,
    ),
    Format("gemma_scope", (gemma_scope.NPZ,), gemma_scope.read),
    Format("gemma_scope_2", (gemma_scope.CONFIG, gemma_scope.SAFE), gemma_scope.read_second),
    Format("interp_lab_sae_v1", (peer_sae.FILE,), peer_sae.read),
)
"""Every foreign format, in the order in which it is looked for; the SAELens layout is our own and comes first."""


def format_of(folder: Path) -> str:
    """Return the name of the format that the files of a folder mark.

    Raises:
        InvalidDictionary: They mark none.
    """
    if _has(folder, _MARKS_SAELENS):
        return SAELENS
    for each in FORMATS:
        if _has(folder, each.marks):
            return each.name
    known = "; ".join(f"{each.name}: {', '.join(each.marks)}" for each in FORMATS)
    raise InvalidDictionary(
        f"{folder.name} is in no known format. Known are saelens: cfg.json, sae_weights.safetensors; {known}."
    )


def read_foreign(folder: Path, name: str) -> Parts:
    """Return the dictionary in a folder of a foreign format.

    Raises:
        InvalidDictionary: There is no such format, or the folder does not hold what it promises.
        UnsupportedDictionary, UnsafeWeights, CorruptWeights, MalformedFile, FileTooLarge: see the format.
    """
    for each in FORMATS:
        if each.name == name:
            return each.read(folder)
    raise InvalidDictionary(f"There is no format {name[:60]!r}.")


def files_of(name: str) -> tuple[str, ...]:
    """Return the files that a format consists of, all that it may have."""
    marks = _MARKS_SAELENS if name == SAELENS else next(each.marks for each in FORMATS if each.name == name)
    return tuple(file for mark in marks for file in mark.split("|"))


def _has(folder: Path, marks: tuple[str, ...]) -> bool:
    return all(any((folder / file).is_file() for file in mark.split("|")) for mark in marks)
