"""The standard library of the running Python as text: read, never imported, and split by file.

A file is cut at top-level definitions into documents of code; its documentation strings are documents of prose. All of
one file goes to the same split. Files differ between Python versions, so a recipe records `digest`.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import textwrap
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interp_lab.corpus.splits import Split, fingerprint, owner

_MAX_BYTES = 400_000
_MAX_CHARS = 6000
_MIN_DOCSTRING = 60
_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "encodings",
    "ensurepip",
    "__pycache__",
}


@dataclass(frozen=True)
class LibraryText:
    """A piece of one file of the standard library."""

    module: str
    kind: Literal["code", "documentation"]
    text: str


def root() -> Path:
    """The folder of the running Python's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def files(folder: Path | None = None) -> list[Path]:
    """Regular source files, in a fixed order; no tests, no installed packages, no tables of character sets."""
    folder = folder or root()
    found = (path for path in folder.rglob("*.py") if not _LEFT_OUT.intersection(path.relative_to(folder).parts))
    plain = (path for path in found if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_BYTES)
    return sorted(plain, key=lambda path: path.relative_to(folder).as_posix())


def _read(path: Path) -> str | None:
    try:
        with tokenize.open(path) as handle:
            return handle.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def split_of(path: Path, folder: Path | None = None) -> Split:
    """Train or held out, by the file's name; criterion prompts are never taken from the library."""
    name = path.relative_to(folder or root()).as_posix()
    return Split.TRAIN if owner(f"stdlib/{name}") is not Split.HELDOUT else Split.HELDOUT


def texts(split: Split, folder: Path | None = None) -> Iterator[LibraryText]:
    """Documents of that split; one whose text also stands in an earlier file is left out."""
    folder = folder or root()
    seen: set[str] = set()
    for path in files(folder):
        source = _read(path)
        pieces = [] if source is None else _pieces(path.relative_to(folder).as_posix(), source)
        wanted = split_of(path, folder) is split
        for piece in pieces:
            mark = fingerprint(piece.text)
            if mark not in seen and wanted:
                yield piece
            seen.add(mark)


def _pieces(module: str, source: str) -> list[LibraryText]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    code = [LibraryText(module, "code", text) for text in _chunks(source, tree)]
    return code + [LibraryText(module, "documentation", text) for text in _docstrings(tree)]


def _chunks(source: str, tree: ast.Module) -> Iterator[str]:
    lines = source.splitlines(keepends=True)
    cuts = [node.lineno - 1 for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    chunk = ""
    for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        part = "".join(lines[start:end])
        if chunk and len(chunk) + len(part) > _MAX_CHARS:
            yield chunk.strip("\n")
            chunk = ""
        chunk += part
    if chunk.strip():
        yield chunk.strip("\n")


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text and len(text) >= _MIN_DOCSTRING:
                name = "" if isinstance(node, ast.Module) else f"{node.name}: "
                yield name + textwrap.dedent(text).strip()


def digest(parts: Iterable[str]) -> str:
    """The hash of these texts in this order, for the record of what a model was trained on."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.encode()).digest())
    return total.hexdigest()
