"""What is made of every document, made when it is asked for: a corpus may be larger than the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

Source = TypeVar("Source")
Made = TypeVar("Made")


class EachOf(Sequence[Made]):
    """A sequence of what `make` gives for each entry of another; nothing is kept."""

    def __init__(self, source: Sequence[Source], make: Callable[[Source], Made]) -> None:
        self._source, self._make = source, make

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> Made: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Made, ...]: ...
    def __getitem__(self, index: int | slice) -> Made | tuple[Made, ...]:
        if isinstance(index, slice):
            return tuple(self._make(entry) for entry in self._source[index])
        return self._make(self._source[index])

    def __iter__(self) -> Iterator[Made]:
        return (self._make(entry) for entry in self._source)
