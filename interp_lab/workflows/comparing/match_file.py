"""The pairs that a match file names, or an earlier comparison. Torch-free, so plans use it too."""

from __future__ import annotations

import re

from pydantic import ValidationError

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import parse_json, read_json
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.bridges.peer_matches import NamedPair, read_pairs
from interp_lab.contracts.compare import COMPARISON_KIND, CompareRequest, ComparisonReport
from interp_lab.errors import InvalidMatches
from interp_lab.settings import Settings

MATCHES_FILE = "matches.json"
_MAX_BYTES = 64 * 2**20
_ARTIFACT = re.compile(r"[0-9a-f]{64}")


def pairs_in_file(request: CompareRequest, settings: Settings) -> tuple[NamedPair, ...]:
    """Return the pairs that the request's file or comparison names; none without one.

    Raises:
        InvalidMatches: It is no match file or comparison, or is about other models.
        InvalidPath, PathOutsideWorkspace, MalformedFile, FileTooLarge: It cannot be read.
        UnknownArtifact, ArtifactCorrupt: There is no such artifact.
    """
    where = request.matches
    if where is None:
        return ()
    if _ARTIFACT.fullmatch(where):
        document = parse_json(_file(where, MATCHES_FILE, settings), where=where)
    else:
        roots = settings.read_roots
        with open_input(settings.workspace, where, read_roots=roots, max_bytes=_MAX_BYTES) as file:
            document = read_json(file, where=where)
    return read_pairs(document, where=where, left=request.left.model.id, right=request.right.model.id)


def were_chosen_here(request: CompareRequest, prompts_sha256: str, settings: Settings) -> bool:
    """Return whether the pairs were chosen on the explore prompts of this very split, so that confirm is held out."""
    where = request.matches
    if where is None:
        return True
    if not _ARTIFACT.fullmatch(where):
        return False
    try:
        report = ComparisonReport.model_validate_json(_file(where, "report.json", settings))
        asked = CompareRequest.model_validate(_store(settings).open(where).spec.get("request"))
    except ValidationError:
        return False
    there = (report.dataset_sha256, asked.seed, asked.threshold, report.imported)
    return there == (prompts_sha256, request.seed, request.threshold, None)


def _file(artifact: str, name: str, settings: Settings) -> bytes:
    store = _store(settings)
    if (kind := store.open(artifact).kind) != COMPARISON_KIND:
        raise InvalidMatches(f"Artifact {artifact} is a {kind}, not a {COMPARISON_KIND}.")
    return store.read_file(artifact, name, limit=_MAX_BYTES)


def _store(settings: Settings) -> ArtifactStore:
    return ArtifactStore(WorkspacePaths.of(settings))
