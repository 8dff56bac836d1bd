"""Dossier: everything a workspace knows of one model and one criterion, read anew from artifacts and jobs each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.base import Grade
from interp_lab.contracts.dossier import (
    Dossier,
    DossierClaim,
    DossierCounts,
    DossierEntry,
    DossierParts,
    DossierRequest,
    DossierRun,
)
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.errors import InvalidCursor, NoDossier
from interp_lab.evidence.standing import contradiction, disagreements, standing, transitions
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import PastRun, of_question, read_history, same_words, weights_of
from interp_lab.workflows.memory.observations import Seen, negatives, observe
from interp_lab.workflows.memory.registered import registered
from interp_lab.workflows.memory.statements import imported_statements

_STRONGEST_FIRST: tuple[Grade, ...] = ("validated", "contradicted", "needs_causal_evidence", "plausible", "weak")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A job that ended without publishing."""

    job_id: str
    capability: str
    ended: datetime
    state: str
    text: str
    investigator: str
    model: str
    criterion: str


def list_dossiers(settings: Settings) -> tuple[DossierEntry, ...]:
    """Return every model and criterion that a report of the workspace is about, the latest first."""
    found: dict[tuple[str, str], list[PastRun]] = {}
    for run in read_history(settings).runs:
        found.setdefault((weights_of(run.report.model), same_words(run.report.criterion)), []).append(run)
    entries = [
        DossierEntry(
            model=runs[-1].report.model.id,
            weights=weights,
            criterion=runs[-1].report.criterion,
            n_runs=len(runs),
            last=runs[-1].at,
        )
        for (weights, _), runs in found.items()
    ]
    return tuple(sorted(entries, key=lambda entry: entry.last, reverse=True))


def make_dossier(request: DossierRequest, settings: Settings, unfinished: Sequence[Unfinished]) -> Dossier:
    """Return the whole dossier.

    Raises:
        NoDossier: No report of this workspace is about that model and criterion, or several models fit the name.
    """
    history = read_history(settings)
    weights, criterion = question_of(request, history.runs)
    runs = of_question(history.runs, weights, criterion)
    seen = observe(runs, history.runs)
    lost = [job for job in unfinished if same_words(job.criterion) == same_words(criterion)]
    parts = _parts(runs, seen, [job for job in lost if job.model == runs[-1].report.model.id])
    others = _about(history.others, runs[-1].report.model.id, criterion)
    parts = parts.model_copy(
        update={
            "hypotheses": registered(settings, runs),
            "imported": tuple(
                said for path in request.imported for said in imported_statements(path, criterion, settings)
            ),
            "runs": _latest_first([*parts.runs, *(_other_run(manifest) for manifest in others)]),
        }
    )
    grades: Counter[Grade] = Counter(claim.grade for claim in parts.claims)
    named = (run.investigator for run in parts.runs)
    return Dossier(
        model=runs[-1].report.model.id,
        weights=weights,
        criterion=runs[-1].report.criterion,
        headline=_headline(runs[-1].report.criterion, parts, grades),
        grades={grade: grades[grade] for grade in _STRONGEST_FIRST if grades[grade]},
        investigators=tuple(sorted({name for name in named if name})),
        unreadable=history.unreadable,
        parts=parts,
        counts=DossierCounts(**{name: len(getattr(parts, name)) for name in DossierCounts.model_fields}),
    )


def page_of(dossier: Dossier, request: DossierRequest) -> DossierParts:
    """Return the start of every part, or the page of one.

    Raises:
        InvalidCursor: The cursor did not come from a page before.
    """
    names = [request.section] if request.section else list(DossierParts.model_fields)
    start = _start(request)
    return DossierParts(**{name: getattr(dossier.parts, name)[start : start + request.limit] for name in names})


def next_cursor(dossier: Dossier, request: DossierRequest, shown: DossierParts) -> str | None:
    """Return where the next page starts, given what this one shows; None after the last and where all parts start."""
    if request.section is None:
        return None
    end = _start(request) + len(getattr(shown, request.section))
    return str(end) if end < len(getattr(dossier.parts, request.section)) else None


def _start(request: DossierRequest) -> int:
    if request.cursor is None:
        return 0
    if request.section is None or not (request.cursor.isascii() and request.cursor.isdigit()):
        raise InvalidCursor(f"{request.cursor[:40]!r} is not a cursor of a dossier's section.")
    return int(request.cursor[:9])


def question_of(request: DossierRequest, runs: Sequence[PastRun]) -> tuple[str, str]:
    """Return the weights and the words that a request means.

    Raises:
        NoDossier: No report is about them, or several dossiers fit.
    """
    wanted = None if request.criterion is None else same_words(request.criterion)
    fitting = {
        (weights_of(run.report.model), same_words(run.report.criterion)): (run.report.model.id, run.report.criterion)
        for run in runs
        if (wanted is None or same_words(run.report.criterion) == wanted) and _is_named(run, request.model)
    }
    if len(fitting) == 1:
        weights, words = next(iter(fitting))
        return weights, words
    known = "; ".join(f"{model} on '{words[:80]}' (weights {key[0][:12]})" for key, (model, words) in fitting.items())
    if fitting:
        raise NoDossier(f"{len(fitting)} dossiers fit: {known[:600]}.", remedy="Name model and criterion of one.")
    raise NoDossier(
        "No report of this workspace is about that model and criterion.",
        remedy="Call dossier without model and criterion for those there are, or inspect first.",
    )


def _is_named(run: PastRun, model: str | None) -> bool:
    return model is None or run.report.model.id == model or weights_of(run.report.model).startswith(model)


def _parts(runs: Sequence[PastRun], seen: Seen, unfinished: Sequence[Unfinished]) -> DossierParts:
    units = seen.of.items()
    changes = [change for unit, found in units for change in transitions(found, unit, seen.edits.get(unit, ()))]
    opposed = (contradiction(seen.edits[unit], unit) for unit in seen.edits)
    return DossierParts(
        claims=tuple(_claims(seen)),
        transitions=tuple(sorted(changes, key=lambda change: change.at, reverse=True)),
        contradictions=tuple(found for found in opposed if found is not None),
        disagreements=tuple(found for unit, seen_of in units for found in disagreements(seen_of, unit)),
        negatives=tuple(found for run in reversed(runs) for found in negatives(run, seen)),
        runs=(*(_run(run) for run in runs), *(_lost(job) for job in unfinished)),
    )


def _claims(seen: Seen) -> Iterator[DossierClaim]:
    claims = [_claim(unit, seen) for unit in seen.of]
    yield from sorted(claims, key=lambda claim: (_STRONGEST_FIRST.index(claim.grade), -claim.n_runs, claim.unit))


def _claim(unit: str, seen: Seen) -> DossierClaim:
    found = standing(seen.of[unit], seen.edits.get(unit, ()))
    return DossierClaim(
        unit=unit,
        name=seen.names[unit],
        grade=found.grade,
        rests_on=found.decided_by.run,
        why=found.why,
        n_runs=len({one.run for one in seen.of[unit]}),
        latest=found.decided_by,
    )


def _run(run: PastRun) -> DossierRun:
    report = run.report
    return DossierRun(
        run=run.id,
        job_id=run.manifest.job,
        kind=run.manifest.kind,
        at=run.at,
        investigator=run.investigator,
        state="succeeded",
        headline=report.headline,
        dataset=report.dataset.name,
        seed=report.run.seed,
        n_claims=len(report.coordinates if isinstance(report, InspectReport) else report.units),
    )


def _lost(job: Unfinished) -> DossierRun:
    return DossierRun(
        run=job.job_id,
        job_id=job.job_id,
        kind=job.capability,
        at=job.ended,
        investigator=job.investigator,
        state="cancelled" if job.state == "cancelled" else "failed",
        headline=job.text,
        dataset="",
        seed=None,
        n_claims=0,
    )


def _about(others: Sequence[Manifest], model: str, criterion: str) -> list[Manifest]:
    """Return artifacts of other kinds whose request names this model and this criterion."""
    found: list[Manifest] = []
    for manifest in others:
        request = manifest.spec.get("request")
        asked = request if isinstance(request, dict) else {}
        named, words = asked.get("model"), asked.get("criterion")
        if isinstance(named, dict):
            named = named.get("id")
        if named == model and isinstance(words, str) and same_words(words) == same_words(criterion):
            found.append(manifest)
    return found


def _other_run(manifest: Manifest) -> DossierRun:
    return DossierRun(
        run=manifest.id,
        job_id=manifest.job,
        kind=manifest.kind,
        at=manifest.ended,
        investigator=str(manifest.spec.get("investigator", ""))[:60],
        state="succeeded",
        headline=manifest.title,
        dataset="",
        seed=None,
        n_claims=0,
    )


def _latest_first(runs: Sequence[DossierRun]) -> tuple[DossierRun, ...]:
    return tuple(sorted(runs, key=lambda run: (run.at, run.run), reverse=True))


def _headline(criterion: str, parts: DossierParts, grades: Counter[Grade]) -> str:
    n_reports = sum(run.n_claims > 0 for run in parts.runs)
    if grades["contradicted"]:
        return (
            f"Edits of {grades['contradicted']} units disagree in sign on '{criterion}'; of {len(parts.claims)} units "
            f"in {n_reports} reports {grades['validated']} stand validated."
        )
    if grades["validated"]:
        best = next(claim for claim in parts.claims if claim.grade == "validated")
        return (
            f"{best.name} stands validated on '{criterion}' by its latest edit, on those prompts and words; "
            f"{grades['validated']} of {len(parts.claims)} units in {n_reports} reports do."
        )
    highest = next((grade for grade in _STRONGEST_FIRST if grades[grade]), "weak")
    return (
        f"Nothing stands validated on '{criterion}': of {len(parts.claims)} units in {n_reports} reports the highest "
        f"standing is {highest.replace('_', ' ')}, by correlation or by edits that showed too little."
    )
