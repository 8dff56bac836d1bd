"""Opens the corpus that a request names, document by document: a look at its beginning costs no more than that."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.corpora import ChatFile, CorpusSource, JsonLinesTable, ParquetTable, TextFiles
from interp_lab.contracts.prompts import BuiltinDataset, InlinePrompts, NamedSet, PromptFile, named_to_text
from interp_lab.corpus.document import Document, Row, Rows, from_prompt
from interp_lab.corpus.prompt_registry import pinned
from interp_lab.corpus.sources import open_prompts
from interp_lab.corpus.spool import Spool
from interp_lab.corpus.tables import read_chats, read_json_lines_table, read_parquet_table
from interp_lab.corpus.text_files import read_text_files, text_paths
from interp_lab.errors import InvalidDocuments
from interp_lab.settings import Settings

_NAMED = 5
"""Ids that an error names."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Every document of a source, in order, with unique ids and none blank."""

    name: str
    documents: Sequence[Document]
    """Read from the disk one by one where they are too many for the memory."""
    sha256: str
    """Hash over every field of every document."""
    n_blank: int = 0
    """Rows that were left out because they hold no visible text."""


@dataclass(frozen=True, slots=True)
class Glance:
    """The beginning of a corpus, as much as was asked for."""

    name: str
    documents: tuple[Document, ...]
    share: float
    """Share of the corpus that was read; 1 if it is all of it."""


def open_corpus(source: CorpusSource, settings: Settings, *, max_documents: int | None = None) -> Corpus:
    """Return the documents of a source, the first `max_documents` of them if given.

    Raises:
        InvalidDocuments: No document in it, or two of the same id.
        RequestError: whatever is wrong with the source; see the readers.
    """
    source = pinned(source, settings) if isinstance(source, NamedSet) else source
    root = WorkspacePaths.of(settings).root
    found, ids, n_blank = Spool(root if root.is_dir() else None), _Ids(), 0
    for row in _rows(source, settings):
        if row.document is None:
            n_blank += 1
            continue
        ids.add(row.document.id)
        found.append(row.document)
        if len(found) == max_documents:
            break
    _refuse_empty(found, corpus_name(source))
    ids.refuse_twins()
    return Corpus(corpus_name(source), found, found.sha256, n_blank)


def glance(
    source: CorpusSource, settings: Settings, *, max_characters: int, max_documents: int | None = None
) -> Glance:
    """Return the documents at the beginning of a source, up to about `max_characters`; see `open_corpus` for errors."""
    source = pinned(source, settings) if isinstance(source, NamedSet) else source
    documents: list[Document] = []
    share, characters = 1.0, 0
    for row in _rows(source, settings):
        share = row.share
        if row.document is None:
            continue
        documents.append(row.document)
        characters += row.document.n_characters
        if len(documents) == max_documents:
            share = 1.0
            break
        if characters >= max_characters:
            break
    _refuse_empty(documents, corpus_name(source))
    return Glance(corpus_name(source), tuple(documents), share)


def corpus_name(source: CorpusSource) -> str:
    """Return the name of a source as results show it."""
    match source:
        case InlinePrompts():
            return "inline"
        case BuiltinDataset():
            return f"builtin:{source.name}"
        case NamedSet():
            return named_to_text(source)
        case PromptFile() | TextFiles() | JsonLinesTable() | ParquetTable() | ChatFile():
            return source.path


def corpus_stamp(source: CorpusSource, settings: Settings) -> str:
    """Return what changes when the files of a source do: names, sizes and times, or the content where it is small."""
    match source:
        case InlinePrompts() | BuiltinDataset() | NamedSet() | PromptFile():
            return open_prompts(source, settings).sha256
        case TextFiles():
            paths = text_paths(source, settings)
        case JsonLinesTable() | ParquetTable() | ChatFile():
            paths = (source.path,)
        case _:
            assert_never(source)
    stamps: list[str] = []
    for path in paths:
        status = resolve_input(settings.workspace, path, read_roots=settings.read_roots, kind="file").stat()
        stamps.append(f"{path}:{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def _rows(source: CorpusSource, settings: Settings) -> Rows:
    match source:
        case InlinePrompts() | PromptFile() | BuiltinDataset() | NamedSet():
            prompts = open_prompts(source, settings).prompts
            return (Row(from_prompt(prompt), (i + 1) / len(prompts)) for i, prompt in enumerate(prompts))
        case TextFiles():
            return read_text_files(source, settings)
        case JsonLinesTable():
            return read_json_lines_table(source, settings)
        case ParquetTable():
            return read_parquet_table(source, settings)
        case ChatFile():
            return read_chats(source, settings)


def _refuse_empty(documents: Sequence[Document], name: str) -> None:
    if not documents:
        raise InvalidDocuments(f"{name} holds no text.")


class _Ids:
    """Ids that have been given, told apart by hashes of 128 bits: a name may be long, and there may be millions."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._twice: list[str] = []

    def add(self, name: str) -> None:
        """Note an id."""
        mark = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()
        if mark in self._seen and name not in self._twice and len(self._twice) < _NAMED:
            self._twice.append(name)
        self._seen.add(mark)

    def refuse_twins(self) -> None:
        """Return if every id was given once."""
        if self._twice:
            twice = ", ".join(repr(name[:60]) for name in self._twice)
            raise InvalidDocuments(f"Id used twice: {twice}.", remedy="Name another field as id_field.")
