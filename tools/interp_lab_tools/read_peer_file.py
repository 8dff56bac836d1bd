"""read_peer_file: what a file of the interp-lab package of PyPI is, what it holds, and what that proves here."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from pydantic import JsonValue

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.workspace import is_artifact_id
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.peer_file import PeerFileRequest, PeerFileResult, PeerFileRow
from interp_lab.store.interchange.peer_files import PeerFile, read_peer_file
from interp_lab.store.interchange.peer_kinds import Use
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab

_PROVES: Final[dict[Use, str]] = {
    "statements": "Sums without their prompts: the dossier lists them beside our claims, and no grade rests on them.",
    "interventions": "Single runs: inspect grades by them if prompts, criterion, controls and side effects are there.",
    "records": "Values of every prompt: inspect splits, ranks and grades them as it does its own, as correlations.",
    "dictionary": "Weights: import_dictionary takes them, so that latents are computed here, and inspect ranks those.",
    "prompts": "Prompts: audit_prompts says what words and lengths give away before anything is ranked on them.",
    "features": "Names with opinions: what names a place or holds a whole direction, inspect can measure afresh.",
    "paths": "Single runs of paths, with or without controls: shown as they are, nothing here is graded by them.",
    "none": "What another tool concluded, or what it would do: shown as it is, nothing here is graded by it.",
}
_MEASURED: Final = frozenset({"interventions", "records", "paths", "dictionary"})


def _handle(request: PeerFileRequest, lab: Lab) -> PeerFileResult:
    with _opened(request.path, lab) as file:
        found = read_peer_file(file, where=request.path, limit=request.limit)
    kind = found.kind
    return PeerFileResult(
        summary=_in_words(request.path, found),
        warnings=_warnings(found),
        agent_next_actions=() if _in_artifact(request.path) else tuple(_actions(request.path, found)),
        kind=kind.name,
        schema_id=kind.schema,
        model=found.model,
        criterion=found.criterion,
        n_rows=found.n_rows,
        rows=tuple(PeerFileRow(name=row.name, says=dict(row.says)) for row in found.rows),
        facts=dict(list(found.facts.items())[:40]),
        unreadable_there=found.odd,
        provenance="imported" if kind.use in _MEASURED else "asserted",
        proves=_PROVES[kind.use],
    )


@contextmanager
def _opened(path: str, lab: Lab) -> Generator[BinaryIO]:
    """Open a file of the workspace, or one of an artifact: the lab's own folder is never named by path."""
    artifact, _, name = path.partition("/")
    if _in_artifact(path):
        with lab.engine.artifacts.path_of(artifact, name).open("rb") as file:
            yield file
        return
    with open_input(lab.settings.workspace, path, read_roots=lab.settings.read_roots) as file:
        yield file


def _in_artifact(path: str) -> bool:
    return "/" in path and is_artifact_id(path.partition("/")[0])


def _in_words(path: str, found: PeerFile) -> str:
    about = f" of {found.model}" if found.model else ""
    asked = f" on '{found.criterion[:120]}'" if found.criterion else ""
    return (
        f"{path} is a file of kind {found.kind.name}{about}{asked} with {found.n_rows} rows.\n{_PROVES[found.kind.use]}"
    )


def _warnings(found: PeerFile) -> tuple[str, ...]:
    if not found.n_odd:
        return ()
    return (
        f"{found.n_odd} values are words or nulls where the format has numbers: the package's own commands stop at "
        "them, here they count as absent.",
    )


def _actions(path: str, found: PeerFile) -> Iterator[NextAction]:
    call: tuple[str, dict[str, JsonValue], str] | None = None
    if found.kind.use == "statements" and found.model and found.criterion:
        asked: dict[str, JsonValue] = {"model": found.model, "criterion": found.criterion, "imported": [path]}
        call = (
            "dossier",
            asked,
            "Lists what it says of units beside what runs here found.",
        )
    elif found.kind.use == "prompts" and found.kind.schema is None:
        call = "audit_prompts", {"dataset": path}, "Says what gives the labels away."
    elif found.kind.use == "dictionary":
        folder = path.rpartition("/")[0] or "."
        call = (
            "import_dictionary",
            {"source": folder},
            "Makes it a dictionary whose latents inspect ranks.",
        )
    if call is not None:
        yield NextAction(tool=call[0], arguments=call[1], why=call[2])


READ_PEER_FILE = InlineCapability(
    name="read_peer_file",
    title="Read a file of the interp-lab package of PyPI",
    guidance=(
        "Says what any file is that interp-lab 1 to 3 wrote: reports, dossiers, matches, graphs, validations, plans, "
        "activation, intervention and path records, feature dumps, prompts, dictionaries, steering vectors; also "
        "those that its own commands refuse. Shows the rows, what they prove here, and the call that takes the file. "
        "Checks it strictly and changes nothing. Our own artifacts are read with artifact_read."
    ),
    request=PeerFileRequest,
    result=PeerFileResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="evidence",
    changes="Nothing; it says what the file shows and which call takes it.",
    example={"path": "peer/report.json"},
)
