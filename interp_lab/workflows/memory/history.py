"""Reports of earlier runs, read back from the artifacts of a workspace: the files are the only source of truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue, ValidationError

from interp_lab.artifacts.manifest import Manifest, parse_manifest
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.inspect_report import InspectReport, ModelFacts
from interp_lab.contracts.intervene import REPORT_KIND as INTERVENTION_KIND
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import ArtifactCorrupt, ArtifactTooNew, InvalidRequest, UnknownArtifact
from interp_lab.settings import Settings
from interp_lab.workflows.memory.contents import Contents

INSPECT_KIND = "inspect_report"
REPORT_FILE = "report.json"
_MAX_BYTES = 64 * 2**20
_KNOWN_MANIFESTS = 20_000


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run that published a report."""

    manifest: Manifest
    report: InspectReport | InterveneReport
    codes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Dictionary of each column of codes that it ranked, where its values came from a store."""
    same: Mapping[str, str] = field(default_factory=dict[str, str])
    """The one name of every dictionary that it names, which another run may have called otherwise."""

    @property
    def id(self) -> str:
        """Artifact of the report."""
        return self.manifest.id

    @property
    def at(self) -> datetime:
        """When the report was finished."""
        return self.manifest.ended

    @property
    def request(self) -> dict[str, JsonValue]:
        """What was asked, as it was submitted; empty for a run without an engine."""
        found = self.manifest.spec.get("request")
        return found if isinstance(found, dict) else {}

    @property
    def investigator(self) -> str:
        """Who ran it, where the server was told."""
        return str(self.manifest.spec.get("investigator", ""))[:60]


@dataclass(frozen=True, slots=True)
class History:
    """What was found on disk."""

    runs: tuple[PastRun, ...]
    """Oldest first."""
    others: tuple[Manifest, ...]
    """Artifacts of other kinds, oldest first."""
    unreadable: tuple[str, ...]


def manifests(settings: Settings) -> Iterator[Manifest]:
    """Yield the manifest of every artifact of the workspace that can be read, in no order."""
    paths = WorkspacePaths.of(settings)
    if not paths.artifacts.is_dir():
        return
    for artifact_id in ArtifactStore(paths).ids():
        try:
            yield _manifest(paths.artifact(artifact_id), artifact_id)
        except (ArtifactCorrupt, ArtifactTooNew, FileNotFoundError):
            continue


@lru_cache(maxsize=_KNOWN_MANIFESTS)
def _manifest(folder: Path, artifact_id: str) -> Manifest:
    """A manifest never changes under its id, so one that was read once need not be read again."""
    return parse_manifest(artifact_id, (folder / "manifest.json").read_bytes())


def read_history(settings: Settings) -> History:
    """Return every report of the workspace, oldest first; what cannot be read is named, never guessed."""
    store = ArtifactStore(WorkspacePaths.of(settings))
    runs: list[PastRun] = []
    others: list[Manifest] = []
    unreadable: list[str] = []
    known = sorted(manifests(settings), key=lambda found: (found.ended, found.id))
    contents = Contents(known, settings)
    for manifest in known:
        kind = _KINDS.get(manifest.kind)
        if kind is None:
            others.append(manifest)
            continue
        try:
            runs.append(_past(manifest, _read(store, manifest.id, kind), contents))
        except (ArtifactCorrupt, ArtifactTooNew, UnknownArtifact, ValidationError):
            unreadable.append(manifest.id)
    return History(tuple(runs), tuple(others), tuple(unreadable))


def read_run(artifact_id: str, settings: Settings) -> PastRun:
    """Return the run that published a report.

    Raises:
        UnknownArtifact, ArtifactCorrupt, ArtifactTooNew: There is no such artifact, or it is damaged.
        InvalidRequest: It is no report of inspect or intervene, or one that this version cannot read.
    """
    store = ArtifactStore(WorkspacePaths.of(settings))
    manifest = store.open_as(artifact_id, *_KINDS)
    kind = _KINDS[manifest.kind]
    try:
        return _past(manifest, _read(store, artifact_id, kind), contents_of(settings))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact_id} is not one this version reads.") from error


def contents_of(settings: Settings) -> Contents:
    """Return the dictionaries of a workspace by their content."""
    return Contents(manifests(settings), settings)


def _past(manifest: Manifest, report: InspectReport | InterveneReport, contents: Contents) -> PastRun:
    run = PastRun(manifest, report)
    return replace(
        run, codes=contents.behind(run.request), same=contents.names(_named_dictionaries(run), manifest.inputs)
    )


def _named_dictionaries(run: PastRun) -> set[str]:
    asked, units = run.request.get("dictionaries"), run.request.get("units")
    named = list(asked) if isinstance(asked, list) else []
    named += [unit.get("dictionary") for unit in units if isinstance(unit, dict)] if isinstance(units, list) else []
    if isinstance(run.report, InterveneReport):
        named += [card.ref.dictionary for card in run.report.units if card.ref is not None]
    return {name for name in named if isinstance(name, str)}


def _read(
    store: ArtifactStore, artifact_id: str, kind: type[InspectReport] | type[InterveneReport]
) -> InspectReport | InterveneReport:
    return kind.model_validate_json(store.read_file(artifact_id, REPORT_FILE, limit=_MAX_BYTES))


_KINDS: dict[str, type[InspectReport] | type[InterveneReport]] = {
    INSPECT_KIND: InspectReport,
    INTERVENTION_KIND: InterveneReport,
}


def weights_of(model: ModelFacts) -> str:
    """Return what tells the weights of a model apart from others of its name."""
    return model.weights_sha256 or (f"{model.id}@{model.revision}" if model.revision else model.id)


def same_words(criterion: str) -> str:
    """Return a criterion as it is compared: case folded, single spaces, no full stop at the end."""
    return " ".join(criterion.casefold().split()).rstrip(".")


def of_question(runs: Sequence[PastRun], weights: str, criterion: str) -> tuple[PastRun, ...]:
    """Return the runs about one model and one criterion, in their order."""
    wanted = same_words(criterion)
    return tuple(
        run for run in runs if weights_of(run.report.model) == weights and same_words(run.report.criterion) == wanted
    )
