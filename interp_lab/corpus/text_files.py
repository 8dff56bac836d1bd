"""Plain text as documents: by paragraph, by line or by file. Texts are data and are kept as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.contracts.corpora import TextFiles
from interp_lab.corpus.document import Document, Row, Rows
from interp_lab.errors import InvalidDocuments, MalformedFile
from interp_lab.settings import Settings

MAX_FILE_BYTES = 2**32
MAX_FILES = 100_000
_BLANK = re.compile(r"\n[ \t\r\f\v]*\n\s*")


def read_text_files(source: TextFiles, settings: Settings) -> Rows:
    """Yield the documents of a file, or of every matching file of a folder in the order of their names.

    Raises:
        InvalidPath, PathOutsideWorkspace, FileTooLarge: see `open_input`.
        InvalidDocuments: The folder has no file that fits the pattern.
        MalformedFile: A file is not UTF-8.
    """
    paths = text_paths(source, settings)
    for number, path in enumerate(paths):
        with open_input(settings.workspace, path, read_roots=settings.read_roots, max_bytes=MAX_FILE_BYTES) as file:
            texts = list(_cut(_decoded(file, path), source.unit))
        name = path if len(paths) > 1 else PurePosixPath(path).name
        for index, text in enumerate(texts):
            share = (number + (index + 1) / len(texts)) / len(paths)
            identity = name if source.unit == "file" else f"{name}:{index}"
            # Parts of one file among many are about one thing; parts of the only file are all there is.
            group = name if len(paths) > 1 else None
            yield Row(Document(id=identity, text=text, group=group) if text.strip() else None, share)


def text_paths(source: TextFiles, settings: Settings) -> Sequence[str]:
    """Return the files that a source names, relative to the workspace; see `read_text_files` for errors."""
    real = resolve_input(settings.workspace, source.path, read_roots=settings.read_roots)
    if not real.is_dir():
        return (source.path,)
    names = sorted(p.name for p in real.iterdir() if fnmatchcase(p.name, source.pattern) and p.is_file())
    if not 0 < len(names) <= MAX_FILES:
        raise InvalidDocuments(f"{source.path} has {len(names)} files that fit {source.pattern!r}.")
    return [f"{source.path.rstrip('/')}/{name}" for name in names]


def _decoded(file: BinaryIO, path: str) -> str:
    try:
        return file.read().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MalformedFile(f"{path} is not UTF-8 text: byte {error.start} is wrong.") from error


def _cut(text: str, unit: Literal["paragraph", "line", "file"]) -> Iterator[str]:
    match unit:
        case "file":
            yield text
        case "line":
            yield from text.splitlines()
        case "paragraph":
            yield from (part.strip("\n") for part in _BLANK.split(text))
