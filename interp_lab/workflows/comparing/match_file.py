"""The pairs that a match file names. Torch-free, so plans use it too."""

from __future__ import annotations

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import read_json
from interp_lab.bridges.peer_matches import NamedPair, read_pairs
from interp_lab.contracts.compare import CompareRequest
from interp_lab.settings import Settings

_MAX_BYTES = 64 * 2**20


def pairs_in_file(request: CompareRequest, settings: Settings) -> tuple[NamedPair, ...]:
    """Return the pairs that the request's file names; none without a file.

    Raises:
        InvalidMatches: It is no match file, or is about other models.
        InvalidPath, PathOutsideWorkspace, MalformedFile, FileTooLarge: It cannot be read.
    """
    if request.matches is None:
        return ()
    roots = settings.read_roots
    with open_input(settings.workspace, request.matches, read_roots=roots, max_bytes=_MAX_BYTES) as file:
        document = read_json(file, where=request.matches)
    return read_pairs(document, where=request.matches, left=request.left.model.id, right=request.right.model.id)
