"""Opens what an import names: files confined to the workspace, read by the reader of their format."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError

from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.artifacts.writer import hash_file
from interp_lab.bridges.interlatent import read_interlatent
from interp_lab.bridges.saelens_cache import read_saelens
from interp_lab.contracts.store_exchange import (
    DelphiSource,
    ImportSource,
    InterlatentSource,
    NumpySource,
    RecordsSource,
    SaelensSource,
    StoreImportRequest,
)
from interp_lab.corpus.grouping import join_equal
from interp_lab.errors import FileTooLarge, MalformedFile
from interp_lab.evidence.groups import group_prompts, normalise
from interp_lab.settings import Settings
from interp_lab.store.interchange.array_stream import open_arrays
from interp_lab.store.interchange.arrays import read_arrays
from interp_lab.store.interchange.incoming import Incoming, IncomingPrompt
from interp_lab.store.interchange.label_table import read_label_table
from interp_lab.store.interchange.latent_cache import read_latent_cache
from interp_lab.store.interchange.records import read_records

MAX_FILES = 10_000
COMPARED_AT_ONCE = 10_000
"""Prompts whose texts are compared with each other; more are joined only by equal texts and names."""


def input_files(source: ImportSource, settings: Settings) -> tuple[Path, ...]:
    """Return the files that an import would read, each of them inside the workspace or a read root.

    Raises:
        InvalidPath, PathOutsideWorkspace: One is missing, not a plain file, or leads out.
        FileTooLarge: A folder has more than 10,000 files.
    """
    roots = settings.read_roots
    if isinstance(source, DelphiSource | SaelensSource):
        folder = resolve_input(settings.workspace, source.path, read_roots=roots, kind="folder")
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if len(names) > MAX_FILES:
            raise FileTooLarge(f"{source.path} has {len(names)} files; at most {MAX_FILES} are read.")
        paths = [f"{source.path.rstrip('/')}/{name}" for name in names]
    else:
        paths = [source.path, *([source.labels] if isinstance(source, NumpySource) and source.labels else [])]
    return tuple(resolve_input(settings.workspace, path, read_roots=roots, kind="file") for path in paths)


@contextmanager
def open_source(request: StoreImportRequest, settings: Settings) -> Generator[Incoming]:
    """Open what an import reads; the blocks can be gone through while it is open.

    Raises:
        LabError: Whatever is wrong with the file as far as its first pass can tell.
    """
    with ExitStack() as stack:
        try:
            incoming = _read(request, settings, stack)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in fault["loc"])
            raise MalformedFile(
                f"{request.source.path} holds what no store can: {where} {fault['msg']}."[:400]
            ) from error
        yield incoming


def _read(request: StoreImportRequest, settings: Settings, stack: ExitStack) -> Incoming:
    source, files = request.source, input_files(request.source, settings)
    name, model, dtype = source.path, request.model, request.dtype
    match source:
        case RecordsSource():
            file = stack.enter_context(open_input(settings.workspace, source.path, read_roots=settings.read_roots))
            digest = hash_file(files[0])[0]
            return read_records(file, name=name, model=model, sha256=digest, absent=source.absent, dtype=dtype)
        case NumpySource():
            return _open_arrays(source, request, settings, stack)
        case DelphiSource():
            place, dictionary = source.address, source.dictionary
            return read_latent_cache(files, name=name, address=place, dictionary=dictionary, model=model, dtype=dtype)
        case SaelensSource():
            return read_saelens(files, name=name, model=model, dtype=dtype)
        case InterlatentSource():
            return read_interlatent(files[0], name=name, layers=source.layers, model=model, dtype=dtype)


def _open_arrays(source: NumpySource, request: StoreImportRequest, settings: Settings, stack: ExitStack) -> Incoming:
    roots, labels = settings.read_roots, None
    if source.labels is not None:
        table = stack.enter_context(open_input(settings.workspace, source.labels, read_roots=roots))
        labels = read_label_table(table, where=source.labels)
    file = stack.enter_context(open_input(settings.workspace, source.path, read_roots=roots))
    arrays = stack.enter_context(open_arrays(file, where=source.path))
    address, dtype = source.address, request.dtype
    return read_arrays(arrays, name=source.path, address=address, labels=labels, model=request.model, dtype=dtype)


def independent_groups(prompts: Sequence[IncomingPrompt]) -> list[int]:
    """Return the group of every prompt: named groups and equal texts belong together, near-duplicates of few prompts.

    Prompts without a text are told apart by their ids: nothing says that two of them are alike.
    """
    named = [prompt.group for prompt in prompts]
    if len(prompts) <= COMPARED_AT_ONCE and any(prompt.text for prompt in prompts):
        texts = [prompt.text or hashlib.sha256(prompt.id.encode()).hexdigest() for prompt in prompts]
        return group_prompts(texts, ids=[named])
    return join_equal([named, [normalise(prompt.text) if prompt.text else None for prompt in prompts]])
