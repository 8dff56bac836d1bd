"""What many cards and searches ask of one store, computed once and kept as long as the store is open."""

from __future__ import annotations

from functools import cache, cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from interp_lab.statistics.arrays import Bools, Ints
from interp_lab.statistics.block_association import Target
from interp_lab.store.gather import RowGather
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.targets import Targets, find_targets
from interp_lab.workflows.querying.view import StoreView

_KEPT = 4
"""Stores at a time, as many as questions keep open."""
MAX_VALUES = 20
"""A label with more values than this is left out of the associations."""


class JoinedText(NamedTuple):
    """The tokens of all rows one after the other, prompts apart."""

    text: str
    ends: Ints
    """Character after each row's token `(n_rows,)`."""


class PreparedStore:
    """One open store, seen over all of its rows."""

    def __init__(self, view: StoreView) -> None:
        self._view = view
        self.gather = cache(self._gather)

    @cached_property
    def rows(self) -> RowSet:
        """All rows."""
        return choose_rows(self._view, ())

    @cached_property
    def targets(self) -> Targets:
        """Every metric and label that can be tested."""
        return find_targets(self.rows, (), max_values=MAX_VALUES)

    @cached_property
    def token_rows(self) -> Ints:
        """Rows of every token of the vocabulary `(n_tokens,)`."""
        codes = self._view.tokens.codes
        return np.bincount(codes[codes >= 0], minlength=len(self._view.tokens.texts))

    @cached_property
    def special(self) -> Bools:
        """Which rows are special tokens `(n_rows,)`."""
        marks = self._view.field("special").fill_null(False)  # noqa: FBT003  # a row without a mark is not special
        return marks.to_numpy(zero_copy_only=False).astype(np.bool_)

    @cached_property
    def text(self) -> JoinedText:
        """All tokens as one text, with a line of its own for every prompt."""
        codes, texts = self._view.tokens
        words = [*texts.to_pylist(), ""]
        lengths = np.array([len(word) for word in words])[codes]
        fresh = np.zeros(codes.size, dtype=np.intp)
        fresh[1:] = np.diff(self._view.row_prompt) != 0
        pieces = [("\x00" if new else "") + words[code] for code, new in zip(codes, fresh, strict=True)]
        return JoinedText("".join(pieces), np.cumsum(lengths + fresh))

    def target_of(self, name: str, chosen: Bools, known: Bools) -> Target:
        """Return chosen rows `(n_rows,)` against the other known ones as something to be tested."""
        at = self.rows.by_group
        return Target(name, chosen[at].astype(np.float64), known[at], is_label=True)

    def _gather(self, key: str) -> RowGather:
        return RowGather(self._view.store, key)


@lru_cache(maxsize=_KEPT)
def prepared(view: StoreView) -> PreparedStore:
    """Return what is kept of a store."""
    return PreparedStore(view)
