"""Long lines of a file, found in memory that is used again, and hashed on the way.

A line that becomes an object of its own costs more than comparing it: its memory is new to the process and is filled
from a copy. Here a line is a place in a buffer that stays, and every byte is read from the file once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import NamedTuple, NoReturn, Protocol

from interp_lab.errors import FileTooLarge
from interp_lab.store.interchange.lines import MAX_LINE_BYTES

CHUNK_BYTES = 4 << 20
"""Small enough that what was read is still in the cache when it is hashed and compared."""


class Source(Protocol):
    """A file that is read into memory which is there already."""

    def seek(self, offset: int, /) -> int:
        """Go to a byte."""
        ...

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer and return how many bytes there were."""
        ...


class Line(NamedTuple):
    """Where a line stands; only until the next one is asked for."""

    number: int
    buffer: bytearray
    start: int
    stop: int

    @property
    def data(self) -> bytes:
        """A copy of the line, which stays."""
        return bytes(memoryview(self.buffer)[self.start : self.stop])


class HashedLines:
    """The lines of a file that are not blank; `sha256` is that of the whole file once all were read."""

    def __init__(self, file: Source, *, where: str, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._file, self._where, self._chunk = file, where, chunk_bytes
        self._digest = hashlib.sha256()
        self._number = 0

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of what was read."""
        return self._digest.hexdigest()

    def lines(self) -> Generator[Line]:
        """Yield every line that is not blank, from the start of the file.

        Raises:
            FileTooLarge: A line has more than 64 MB.
        """
        self._file.seek(0)
        self._digest = hashlib.sha256()
        self._number = 0
        buffer, kept = bytearray(2 * self._chunk), 0
        while fresh := self._file.readinto(memoryview(buffer)[kept : kept + self._chunk]):
            filled = kept + fresh
            self._digest.update(memoryview(buffer)[kept:filled])
            begun = buffer.rfind(b"\n", 0, filled) + 1
            yield from self._whole(buffer, begun)
            kept = filled - begun
            if kept > MAX_LINE_BYTES:
                self._refuse(self._number + 1)
            rest = memoryview(buffer)[begun:filled]
            if kept + self._chunk > len(buffer):
                buffer = bytearray(2 * kept + self._chunk)
            memoryview(buffer)[:kept] = rest
        if kept:
            yield from self._found(buffer, 0, kept)

    def _whole(self, buffer: bytearray, stop: int) -> Generator[Line]:
        start = 0
        while start < stop:
            end = buffer.find(b"\n", start, stop) + 1
            yield from self._found(buffer, start, end)
            start = end

    def _found(self, buffer: bytearray, start: int, stop: int) -> Generator[Line]:
        self._number += 1
        if stop - start > MAX_LINE_BYTES:
            self._refuse(self._number)
        line = Line(self._number, buffer, start, stop)
        if not buffer[start : start + 1].isspace() or not line.data.isspace():
            yield line

    def _refuse(self, number: int) -> NoReturn:
        raise FileTooLarge(f"Line {number} of {self._where} has more than {MAX_LINE_BYTES} bytes.")
