"""What a request names as interventions, checked before anything is computed: our own reports, or files of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.artifacts.workspace import is_artifact_id
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings
from interp_lab.store.interchange.interventions import InterventionRecord, read_interventions
from interp_lab.workflows.memory.history import PastRun, read_run, same_words


@dataclass(frozen=True, eq=False)
class Records:
    """Records of one file that are about this model and, where they say, this criterion."""

    path: str
    sha256: str
    kept: tuple[InterventionRecord, ...]
    left_out: str
    """What was left out, in words; empty if nothing was."""


@dataclass(frozen=True, eq=False)
class Edits:
    """Everything that was named."""

    reports: tuple[PastRun, ...]
    records: tuple[Records, ...]

    def provenance(self) -> dict[str, str]:
        """Return what was read, by name."""
        named = {f"interventions {run.id[:12]}": run.id for run in self.reports}
        return named | {f"interventions {each.path}": f"sha256:{each.sha256}" for each in self.records}


def check_edits(request: InspectRequest, settings: Settings) -> dict[str, str]:
    """Check what needs no long reading, and return a stamp of every source: an artifact id, or size and time of a file.

    Raises:
        UnknownArtifact, InvalidRequest: An artifact is no intervention report, or is about something else.
        InvalidPath, PathOutsideWorkspace: A file is not one that may be read.
    """
    stamps: dict[str, str] = {}
    for name in request.interventions:
        if is_artifact_id(name):
            _report(name, request, settings)
            stamps[f"interventions {name[:12]}"] = name
        else:
            status = resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="file").stat()
            stamps[f"interventions {name}"] = f"{status.st_size}:{status.st_mtime_ns}"
    return stamps


def open_edits(request: InspectRequest, settings: Settings) -> tuple[Edits, ...]:
    """Return the interventions of a request for each of its criteria, the first first: each source where it belongs.

    Raises:
        MalformedFile, FileTooLarge: A line is not an intervention record.
        InvalidRequest: A source is about another model or other criteria, or nothing of it is about these.
        UnknownArtifact, InvalidPath, PathOutsideWorkspace: see `check_edits`.
    """
    words = _words(request)
    reports: list[list[PastRun]] = [[] for _ in words]
    records: list[list[Records]] = [[] for _ in words]
    for name in dict.fromkeys(request.interventions):
        if is_artifact_id(name):
            run = _report(name, request, settings)
            reports[words.index(same_words(run.report.criterion))].append(run)
        else:
            for place, found in _records(name, request, settings):
                records[place].append(found)
    return tuple(Edits(tuple(one), tuple(other)) for one, other in zip(reports, records, strict=True))


def _words(request: InspectRequest) -> list[str]:
    """The criteria that are asked, the first first."""
    return [same_words(request.criterion), *(same_words(one.criterion) for one in request.also)]


def _report(artifact: str, request: InspectRequest, settings: Settings) -> PastRun:
    run = read_run(artifact, settings)
    if not isinstance(run.report, InterveneReport):
        raise InvalidRequest(f"Artifact {artifact} is an inspect report; interventions are reports of intervene.")
    for name, there, here in (
        ("model", run.report.model.id, [request.model.id]),
        ("criterion", same_words(run.report.criterion), _words(request)),
    ):
        if there not in here:
            asked = " or ".join(map(repr, here))
            raise InvalidRequest(f"The {name} of intervention report {artifact[:12]} is {there!r}, not {asked}.")
    return run


def _records(path: str, request: InspectRequest, settings: Settings) -> Iterator[tuple[int, Records]]:
    """Yield the records of a file about each criterion, with its place; those that name none go to the first."""
    words = _words(request)
    kept: dict[int, list[InterventionRecord]] = {}
    others: Counter[str] = Counter()
    with open_input(settings.workspace, path, read_roots=settings.read_roots) as file:
        for _, record in read_interventions(file, where=path):
            about = words[0] if record.criterion is None else same_words(record.criterion)
            if record.model != request.model.id:
                others[f"model {record.model[:60]!r}"] += 1
            elif about not in words:
                others[f"criterion {str(record.criterion)[:60]!r}"] += 1
            else:
                kept.setdefault(words.index(about), []).append(record)
    if not kept:
        raise InvalidRequest(
            f"No record of {path} is about {request.model.id} and this criterion; there is {_counted(others)}.",
            remedy="Ask with the model and the criterion that the records name.",
        )
    real = resolve_input(settings.workspace, path, read_roots=settings.read_roots, kind="file")
    left = f"{sum(others.values())} records of {path} are about {_counted(others)} and were left out." if others else ""
    digest = hash_file(real)[0]
    yield from ((place, Records(path, digest, tuple(found), left)) for place, found in sorted(kept.items()))


def _counted(others: Counter[str]) -> str:
    named: Sequence[str] = [f"{name} ({n})" for name, n in others.most_common(4)]
    return ", ".join(named) or "nothing"
