"""A store as questions see it: the row and prompt tables as arrays, read once per process and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.store import CodeColumn, DenseColumn
from interp_lab.errors import UnknownField, UnknownPrompt, UnknownUnit
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Ints
from interp_lab.store.arrow import arrow
from interp_lab.store.locate import open_named_store
from interp_lab.store.names import MANIFEST
from interp_lab.store.reader import ActivationStore

_KEPT_OPEN = 4
_OPEN: dict[Path, tuple[tuple[int, ...], StoreView]] = {}
_OPENING = Lock()

MARKS = ("special", "generated", "span")


class Vocabulary(NamedTuple):
    """The tokens of all rows: which distinct text each row has."""

    codes: Ints
    """`(n_rows,)`, -1 where a row has no token."""
    texts: Any
    """The distinct texts, as an Arrow array."""


@dataclass(frozen=True, slots=True)
class UnitRef:
    """One unit of one column."""

    column: str
    index: int

    def __str__(self) -> str:
        return f"{self.column}#{self.index}"


class StoreView:
    """One open store."""

    def __init__(self, store: ActivationStore, name: str) -> None:
        self.store = store
        self.name = name
        self.derived: dict[str, Any] = {}
        """What was worked out from the whole store and is worth keeping while it is open."""

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return self.store.n_rows

    @cached_property
    def prompts(self) -> Any:
        """The prompt table."""
        return self.store.prompts()

    @cached_property
    def row_prompt(self) -> Ints:
        """Prompt of every row `(n_rows,)`."""
        return self._numbers("prompt")

    @cached_property
    def position(self) -> Ints:
        """Position of every row in its prompt `(n_rows,)`."""
        return self._numbers("position")

    @cached_property
    def prompt_group(self) -> Ints:
        """Independent group of every prompt `(n_prompts,)`."""
        return self.prompts.column("group").to_numpy().astype(np.intp)

    @cached_property
    def tokens(self) -> Vocabulary:
        """The token of every row."""
        encoded = self.field("token").combine_chunks().dictionary_encode()
        if isinstance(encoded, arrow().ChunkedArray):
            encoded = encoded.combine_chunks()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return Vocabulary(codes, encoded.dictionary)

    @cached_property
    def row_fields(self) -> tuple[str, ...]:
        """Names of the columns of the row table."""
        return _row_fields(self.store)

    def field(self, name: str) -> Any:
        """Return a column of the row table as an Arrow array."""
        return self.store.rows(columns=[name]).column(name)

    def where_is(self, name: str) -> str:
        """Return 'row' or 'prompt': the table that holds a field.

        Raises:
            UnknownField: neither does; the message lists what there is.
        """
        if name in self.row_fields:
            return "row"
        if name in self.prompts.column_names:
            return "prompt"
        there = ", ".join(dict.fromkeys([*self.row_fields, *self.prompts.column_names]))
        raise UnknownField(f"There is no field {name[:80]!r}; there are {there[:600]}, and units 'COLUMN#INDEX'.")

    def column(self, key: str) -> DenseColumn | CodeColumn:
        """Return the column of that key.

        Raises:
            UnknownColumn: there is none; the message lists what there is.
        """
        return self.store.column(key)

    def unit(self, name: str) -> UnitRef:
        """Return the unit of that name; see `column` and `checked_unit` for errors."""
        key, _, index = name.rpartition("#")
        self.checked_unit(key, int(index))
        return UnitRef(key, int(index))

    def checked_unit(self, key: str, unit: int) -> int:
        """Return the unit if the column has it.

        Raises:
            UnknownUnit: the column is narrower.
        """
        width = self.column(key).width
        if unit >= width:
            raise UnknownUnit(f"Column {key!r} has units 0 to {width - 1}, not {unit}.")
        return unit

    def values_of(self, unit: UnitRef, rows: Ints) -> Any:
        """Return the values of one unit at these rows, float32 `(len(rows),)`."""
        if self.column(unit.column).kind == "dense":
            return self.store.dense(unit.column).units([unit.index])[rows, 0]
        active, values = self.store.codes(unit.column).latent(unit.index)
        spread = np.zeros(self.n_rows, dtype=np.float32)
        spread[active] = values
        return spread[rows]

    def prompt_index(self, prompt: int | str) -> int:
        """Return the index of a prompt given by index or id.

        Raises:
            UnknownPrompt: there is none.
        """
        n_prompts = self.prompts.num_rows
        if isinstance(prompt, int):
            if prompt >= n_prompts:
                raise UnknownPrompt(f"The store has prompts 0 to {n_prompts - 1}, not {prompt}.")
            return prompt
        found = arrow().compute.index(self.prompts.column("id"), prompt).as_py()
        if found < 0:
            raise UnknownPrompt(f"The store has no prompt with the id {prompt[:80]!r}.")
        return int(found)

    def rows_of_prompt(self, prompt: int) -> Ints:
        """Return the rows of one prompt in the order of their positions."""
        rows = np.flatnonzero(self.row_prompt == prompt)
        return rows[np.argsort(self.position[rows], kind="stable")]

    def _numbers(self, name: str) -> Ints:
        return self.field(name).to_numpy().astype(np.int32)


def _row_fields(store: ActivationStore) -> tuple[str, ...]:
    header = store.manifest
    return (
        "prompt",
        "position",
        "token_id",
        "token",
        *MARKS,
        *(f"metric:{metric.name}" for metric in header.metrics),
        *(f"label:{label.name}" for label in header.labels if label.scope == "row"),
    )


def open_view(name: str, settings: Settings) -> StoreView:
    """Return the store of that artifact id or workspace folder; one that is open already is shared.

    Raises:
        UnknownArtifact, ArtifactCorrupt, NotAStore: there is none of that id, it is damaged, or something else.
        InvalidPath, PathOutsideWorkspace: the folder is not one that may be read.
        StoreUnfinished, StoreTooNew, StoreCorrupt: it cannot be read.
    """
    place, stamp = _place(name, settings)
    with _OPENING:
        kept = _OPEN.pop(place, None)
        if kept is None or kept[0] != stamp:
            kept = stamp, StoreView(open_named_store(name, settings), name)
        _OPEN[place] = kept
        while len(_OPEN) > _KEPT_OPEN:
            _OPEN.pop(next(iter(_OPEN)))
    return kept[1]


def _place(name: str, settings: Settings) -> tuple[Path, tuple[int, ...]]:
    """Return a path that stands for the store, and what changes when another takes its place there."""
    if is_artifact_id(name):
        paths = WorkspacePaths.of(settings)
        # Asked again although artifacts never change: this one may have been found damaged since.
        ArtifactStore(paths).open(name)
        return paths.artifact(name), ()
    folder = resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="folder")
    try:
        found = (folder / MANIFEST).stat()
    except OSError:
        return folder, ()
    return folder, (found.st_ino, found.st_size, found.st_mtime_ns)  # the clock of files is coarse
