"""What a request names as interventions, checked before anything is computed: our own reports, or files of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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


def open_edits(request: InspectRequest, settings: Settings) -> Edits:
    """Return the interventions of a request.

    Raises:
        MalformedFile, FileTooLarge: A line is not an intervention record.
        InvalidRequest: A source is about another model or criterion, or nothing of it is about these.
        UnknownArtifact, InvalidPath, PathOutsideWorkspace: see `check_edits`.
    """
    names = tuple(dict.fromkeys(request.interventions))
    return Edits(
        reports=tuple(_report(name, request, settings) for name in names if is_artifact_id(name)),
        records=tuple(_records(name, request, settings) for name in names if not is_artifact_id(name)),
    )


def _report(artifact: str, request: InspectRequest, settings: Settings) -> PastRun:
    run = read_run(artifact, settings)
    if not isinstance(run.report, InterveneReport):
        raise InvalidRequest(f"Artifact {artifact} is an inspect report; interventions are reports of intervene.")
    for name, there, here in (
        ("model", run.report.model.id, request.model.id),
        ("criterion", same_words(run.report.criterion), same_words(request.criterion)),
    ):
        if there != here:
            raise InvalidRequest(f"The {name} of intervention report {artifact[:12]} is {there!r}, not {here!r}.")
    return run


def _records(path: str, request: InspectRequest, settings: Settings) -> Records:
    wanted, kept = same_words(request.criterion), list[InterventionRecord]()
    others: Counter[str] = Counter()
    with open_input(settings.workspace, path, read_roots=settings.read_roots) as file:
        for _, record in read_interventions(file, where=path):
            if record.model != request.model.id:
                others[f"model {record.model[:60]!r}"] += 1
            elif record.criterion is not None and same_words(record.criterion) != wanted:
                others[f"criterion {record.criterion[:60]!r}"] += 1
            else:
                kept.append(record)
    if not kept:
        raise InvalidRequest(
            f"No record of {path} is about {request.model.id} and this criterion; there is {_counted(others)}.",
            remedy="Ask with the model and the criterion that the records name.",
        )
    real = resolve_input(settings.workspace, path, read_roots=settings.read_roots, kind="file")
    left = f"{sum(others.values())} records of {path} are about {_counted(others)} and were left out." if others else ""
    return Records(path, hash_file(real)[0], tuple(kept), left)


def _counted(others: Counter[str]) -> str:
    named: Sequence[str] = [f"{name} ({n})" for name, n in others.most_common(4)]
    return ", ".join(named) or "nothing"
