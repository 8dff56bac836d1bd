"""Build a prompt set from what a caller has: read, drop what cannot stay, audit, write. No torch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import ValidationError

from interp_lab.artifacts.paths import open_input
from interp_lab.contracts.build_prompts import (
    Answer,
    Ask,
    BuildPromptsRequest,
    Candidate,
    GenerationRequest,
    PresetTexts,
)
from interp_lab.contracts.prompt_audit import PromptAudit
from interp_lab.contracts.prompts import NamedSet, named_from_text
from interp_lab.corpus.assembly import Assembly, assemble, scored, unscored
from interp_lab.corpus.audit import Grouped
from interp_lab.corpus.audited import audit_set
from interp_lab.corpus.candidates import Material, read_candidates
from interp_lab.corpus.generation import Asked, find_asked, keep_asked
from interp_lab.corpus.prompt_registry import find_set
from interp_lab.corpus.prompt_set import PromptSet, checked
from interp_lab.corpus.sources import MAX_FILE_BYTES
from interp_lab.corpus.workspace_sets import folder_of, save_set
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings

THRESHOLD = 0.5


@dataclass(frozen=True)
class Built:
    """A set that was written."""

    criterion: str
    path: str
    """Relative to the workspace."""
    prompts: PromptSet
    assembly: Assembly
    audit: PromptAudit


def ask_for_texts(request: BuildPromptsRequest, source: Ask, settings: Settings) -> GenerationRequest:
    """Return what the caller is to write; it is kept in the workspace for the second call."""
    asked = Asked(name=request.name, criterion=request.criterion, n_per_side=source.n_per_side)
    keep_asked(asked, settings.workspace)
    return asked.request()


def build_prompts(request: BuildPromptsRequest, settings: Settings) -> Built:
    """Return the set that was written to the workspace; nothing is written if anything is wrong.

    Raises:
        InvalidPrompts: a row cannot be used, or one label is missing.
        UnknownGenerationRequest, InvalidRequest: an answer to what was not asked.
        PromptSetExists: the workspace has another set of that name.
        MalformedFile, InvalidPath, PathOutsideWorkspace, FileTooLarge: from the files.
        UnknownDataset: no folder has a set of the name given.
    """
    source = request.source
    if isinstance(source, Ask):
        raise InvalidRequest("A source of kind 'ask' builds nothing.")
    if isinstance(source, Answer):
        _same_question(request, find_asked(source.request_id, folder_of(settings.workspace)))
    assembly = assemble(_candidates(source, settings), balance=request.balance)
    prompts = checked(request.name, scored(assembly.kept))
    audit = audit_set(Grouped(prompts, THRESHOLD, request.seed))
    path = save_set(request.name, request.criterion, prompts, workspace=settings.workspace, replace=request.replace)
    return Built(request.criterion, path, prompts, assembly, audit)


def _candidates(source: Material, settings: Settings) -> list[Candidate]:
    named = _named(source.path) if isinstance(source, PresetTexts) else None
    if named is None:
        return read_candidates(source, lambda path: _opened(path, settings))
    return unscored(find_set(named, settings).prompts, THRESHOLD)


def _named(path: str) -> NamedSet | None:
    fields = named_from_text(path)
    try:
        return None if fields is None else NamedSet.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequest(
            f"{path[:80]!r} does not name a set.", remedy="Name one that lab_overview lists."
        ) from error


def _opened(path: str, settings: Settings) -> AbstractContextManager[BinaryIO]:
    return open_input(settings.workspace, path, read_roots=settings.read_roots, max_bytes=MAX_FILE_BYTES)


def _same_question(request: BuildPromptsRequest, asked: Asked) -> None:
    if (request.name, request.criterion) != (asked.name, asked.criterion):
        raise InvalidRequest(
            f"The texts were asked for the set {asked.name!r} and the criterion {asked.criterion!r}.",
            remedy="Give name and criterion as in the first call, or ask again.",
        )
