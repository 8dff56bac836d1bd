"""Several stores of the same tokens, read as one: a crosscoder of several models sees every token in all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

from interp_lab.errors import StoresNotAligned
from interp_lab.store.dense import DenseReader
from interp_lab.store.reader import ActivationStore

_ROW_COLUMNS: Final = ("prompt", "position", "token_id", "token", "special")
_PROMPT_COLUMNS: Final = ("text", "group")
_RUN: Final = 2**18
"""Rows that are compared at a time."""


def beside_key(number: int, address: str) -> str:
    """Return the key of the column at an address of the store of that number, counted from 0."""
    return f"{number}:{address}"


def keys_read(addresses: Sequence[str], owners: Sequence[int]) -> tuple[str, ...]:
    """Return the columns that a dictionary reads: its addresses, those of several models each with its number."""
    if not owners:
        return tuple(addresses)
    return tuple(beside_key(number, address) for number, address in zip(owners, addresses, strict=True))


class StoresBeside(ActivationStore):
    """Stores whose rows are the same tokens; columns are keyed NUMBER:ADDRESS, all else is the first store's."""

    def __init__(self, stores: Sequence[ActivationStore]) -> None:
        """Put stores beside each other.

        Raises:
            StoresNotAligned: They are not of the same tokens; the first that differs is named.
        """
        first, *others = stores
        super().__init__(first.manifest, first.path_of)
        self.stores = tuple(stores)
        for number, other in enumerate(others, start=1):
            _check_aligned(first, other, number)

    @cached_property
    def dense_widths(self) -> dict[str, int]:
        """Width of every dense column of every store."""
        return {
            beside_key(number, key): width
            for number, store in enumerate(self.stores)
            for key, width in store.dense_widths.items()
        }

    @property
    def content_hash(self) -> str:
        """One hash over the manifests of all stores."""
        return hashlib.sha256("".join(store.content_hash for store in self.stores).encode()).hexdigest()

    @property
    def models(self) -> tuple[str | None, ...]:
        """Model of every store."""
        return tuple(model for store in self.stores for model in store.models)

    def dense(self, key: str) -> DenseReader:
        """Return the reader of a dense column; see `ActivationStore.column` for errors."""
        number, separator, address = key.partition(":")
        if not separator or not number.isdecimal() or int(number) >= len(self.stores):
            return super().dense(key)
        return self.stores[int(number)].dense(address)


def _check_aligned(first: ActivationStore, other: ActivationStore, number: int) -> None:
    which = f"Store {number + 1}"
    if first.n_rows != other.n_rows:
        raise StoresNotAligned(f"{which} has {other.n_rows:,} rows; the first has {first.n_rows:,}.")
    for name in _PROMPT_COLUMNS:
        if not first.prompts().column(name).equals(other.prompts().column(name)):
            raise StoresNotAligned(f"{which} was read from other prompts than the first: their {name}s differ.")
    for start, stop in _runs(first.n_rows):
        one, two = (each.rows(_ROW_COLUMNS, start=start, stop=stop) for each in (first, other))
        for name in _ROW_COLUMNS:
            mine, theirs = one.column(name), two.column(name)
            if not mine.equals(theirs):
                row = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
                raise StoresNotAligned(
                    f"Row {start + row} is another token in store {number + 1}: its {name} is {theirs[row].as_py()!r}, "
                    f"in the first store {mine[row].as_py()!r}."[:400]
                )


def _runs(n_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_rows, _RUN):
        yield start, min(start + _RUN, n_rows)
