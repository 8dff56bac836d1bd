"""Plain text as documents: by paragraph, by line or by file. Texts are data and are kept as they are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.contracts.corpora import TextFiles
from interp_lab.corpus.document import Document, Row, Rows
from interp_lab.errors import InvalidDocuments, MalformedFile
from interp_lab.settings import Settings

MAX_FILE_BYTES = 2**40
MAX_FILES = 100_000
CHUNK_BYTES = 1 << 20
"""Read at once."""
_BLANK = re.compile(r"\n[ \t\r\f\v]*\n\s*")
Unit = Literal["paragraph", "line", "file"]


def read_text_files(source: TextFiles, settings: Settings) -> Rows:
    """Yield the documents of a file, or of every matching file of a folder in the order of their names.

    Files are read as they are needed, and only one document is ever held whole.

    Raises:
        InvalidPath, PathOutsideWorkspace, FileTooLarge: see `open_input`.
        InvalidDocuments: The folder has no file that fits the pattern.
        MalformedFile: A file is not UTF-8.
    """
    paths = text_paths(source, settings)
    for number, path in enumerate(paths):
        name = path if len(paths) > 1 else PurePosixPath(path).name
        # Parts of one file among many are about one thing; parts of the only file are all there is.
        group = name if len(paths) > 1 else None
        with open_input(settings.workspace, path, read_roots=settings.read_roots, max_bytes=MAX_FILE_BYTES) as file:
            for index, (text, share) in enumerate(_cut(_Characters(file, path), source.unit)):
                identity = name if source.unit == "file" else f"{name}:{index}"
                document = Document(id=identity, text=text, group=group) if text.strip() else None
                yield Row(document, (number + share) / len(paths))


def text_paths(source: TextFiles, settings: Settings) -> Sequence[str]:
    """Return the files that a source names, relative to the workspace; see `read_text_files` for errors."""
    real = resolve_input(settings.workspace, source.path, read_roots=settings.read_roots)
    if not real.is_dir():
        return (source.path,)
    names = sorted(p.name for p in real.iterdir() if fnmatchcase(p.name, source.pattern) and p.is_file())
    if not 0 < len(names) <= MAX_FILES:
        raise InvalidDocuments(f"{source.path} has {len(names)} files that fit {source.pattern!r}.")
    return [f"{source.path.rstrip('/')}/{name}" for name in names]


class _Characters:
    """A file of text, some characters at a time, every line ended by a line feed."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file, self._path = file, path
        self._size = max(1, file.seek(0, 2))
        file.seek(0)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._held = ""
        self.share = 0.0
        """Share of the file that was read."""

    def read(self, n_bytes: int) -> str | None:
        """Return the next characters, or None when there are no more.

        Raises:
            MalformedFile: They are not UTF-8.
        """
        if self.share >= 1:
            return None
        start = self._file.tell() - len(self._decoder.getstate()[0])
        data = self._file.read(n_bytes)
        self.share = self._file.tell() / self._size if data else 1.0
        try:
            text = self._held + self._decoder.decode(data, final=self.share >= 1)
        except UnicodeDecodeError as error:
            raise MalformedFile(f"{self._path} is not UTF-8 text: byte {start + error.start} is wrong.") from error
        self._held = "\r" if text.endswith("\r") and self.share < 1 else ""  # perhaps half of a line end
        return text[: len(text) - len(self._held)].replace("\r\n", "\n")


def _cut(characters: _Characters, unit: Unit) -> Iterator[tuple[str, float]]:
    """Yield the documents of a file, each with the share of the file that ends with it, in equal steps."""
    rest, before = "", 0.0
    # What is left grows with a document that has no end in sight: reading as much again keeps the work linear.
    while (more := characters.read(max(CHUNK_BYTES, len(rest)))) is not None:
        whole, rest = _SURELY_WHOLE[unit](rest + more)
        step = (characters.share - before) / (len(whole) + 1)
        for number, piece in enumerate(whole, start=1):
            yield piece, before + step * number
        before = characters.share
    for piece in _AT_THE_END[unit](rest):
        yield piece, 1.0


def _whole_lines(text: str) -> tuple[list[str], str]:
    last = text.splitlines(keepends=True)[-1:]
    rest = last[0] if last else ""
    return text[: len(text) - len(rest)].splitlines(), rest


def _whole_paragraphs(text: str) -> tuple[list[str], str]:
    whole: list[str] = []
    begin = 0
    for gap in _BLANK.finditer(text):
        if gap.end() == len(text):
            break  # it may go on
        whole.append(text[begin : gap.start()].strip("\n"))
        begin = gap.end()
    return whole, text[begin:]


def _paragraphs(text: str) -> list[str]:
    return [part.strip("\n") for part in _BLANK.split(text)]


_SURELY_WHOLE: Mapping[Unit, Callable[[str], tuple[list[str], str]]] = {
    "paragraph": _whole_paragraphs,
    "line": _whole_lines,
    "file": lambda text: ([], text),
}
"""The documents of a text that no further text can change, and what is left."""
_AT_THE_END: Mapping[Unit, Callable[[str], list[str]]] = {
    "paragraph": _paragraphs,
    "line": str.splitlines,
    "file": lambda text: [text],
}
"""The documents of what is left when nothing follows."""
