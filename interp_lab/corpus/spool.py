"""Documents in order: in memory while they are few, else in a nameless file that is gone with whoever holds it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import IO, Any, overload

from interp_lab.corpus.document import Document, Message

MEMORY_BYTES = 64 * 2**20
"""Size of a corpus, with everything that is known of its documents, above which it lies on disk."""


class Spool(Sequence[Document]):
    """Documents that are appended once and read any number of times, each made anew from its bytes."""

    def __init__(self, folder: Path | None) -> None:
        """Begin empty; `folder` is where a large corpus is put, the system's folder by default."""
        self._folder = folder
        self._file: IO[bytes] = BytesIO()
        self._ends = array("Q")
        self._hash = hashlib.sha256()

    def append(self, document: Document) -> None:
        """Add a document."""
        fields = asdict(document)
        self._hash.update(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        line = json.dumps(fields, ensure_ascii=False).encode()  # labels stay in the order in which they came
        begin = self._begin(len(self))
        self._file.seek(begin)
        self._file.write(line)
        self._ends.append(begin + len(line))
        if not self.on_disk and begin + len(line) > MEMORY_BYTES:
            self._move_to_disk()

    @property
    def sha256(self) -> str:
        """Hash over every field of every document, in order."""
        return self._hash.hexdigest()

    @property
    def on_disk(self) -> bool:
        """Whether the documents outgrew the memory."""
        return not isinstance(self._file, BytesIO)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Document, ...]: ...
    def __getitem__(self, index: int | slice) -> Document | tuple[Document, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        place = range(len(self))[index]
        begin = self._begin(place)
        self._file.seek(begin)
        return _document(json.loads(self._file.read(self._ends[place] - begin)))

    def __iter__(self) -> Iterator[Document]:
        return (self[place] for place in range(len(self)))

    def _begin(self, place: int) -> int:
        return self._ends[place - 1] if place else 0

    def _move_to_disk(self) -> None:
        held = self._file
        self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it lives as long as the documents
        weakref.finalize(self, self._file.close)
        held.seek(0)
        shutil.copyfileobj(held, self._file)


def _document(fields: dict[str, Any]) -> Document:
    fields["messages"] = tuple(Message(*message) for message in fields["messages"])
    fields["spans"] = tuple((first, last) for first, last in fields["spans"])
    return Document(**fields)
