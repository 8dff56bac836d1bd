"""Dossier: everything a workspace knows of one model and one criterion, read anew from artifacts and jobs each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from interp_lab.contracts.base import Grade
from interp_lab.contracts.dossier import (
    Dossier,
    DossierClaim,
    DossierCounts,
    DossierEntry,
    DossierParts,
    DossierRequest,
    DossierRun,
    NegativeResult,
)
from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.errors import InvalidCursor, NoDossier
from interp_lab.evidence.standing import contradiction, disagreements, standing, transitions
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.of_units import explanations_of
from interp_lab.workflows.memory.asked import Question, asked_in
from interp_lab.workflows.memory.history import PastRun, of_question, read_history, same_words, weights_of
from interp_lab.workflows.memory.observations import Seen, negatives, observe
from interp_lab.workflows.memory.other_runs import OtherRun, others_about, read_others
from interp_lab.workflows.memory.registered import registered
from interp_lab.workflows.memory.statements import imported_statements

_STRONGEST_FIRST: tuple[Grade, ...] = ("validated", "contradicted", "needs_causal_evidence", "plausible", "weak")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A job that ended without publishing."""

    job_id: str
    capability: str
    ended: datetime
    state: Literal["failed", "cancelled"]
    text: str
    investigator: str
    request: Mapping[str, JsonValue]


def list_dossiers(settings: Settings) -> tuple[DossierEntry, ...]:
    """Return every model and criterion that a report of the workspace is about, the latest first."""
    history = read_history(settings)
    entries = [
        DossierEntry(
            model=question.model,
            weights=question.weights,
            criterion=question.criterion,
            n_runs=len(times),
            last=times[-1],
        )
        for question, times in _questions(history.runs, read_others(history.others, settings)).values()
    ]
    return tuple(sorted(entries, key=lambda entry: entry.last, reverse=True))


def make_dossier(
    request: DossierRequest,
    settings: Settings,
    unfinished: Sequence[Unfinished],
    explanations: Iterable[ExplanationRecord] = (),
) -> Dossier:
    """Return the whole dossier.

    Raises:
        NoDossier: No report of this workspace is about that model and criterion, or several models fit the name.
    """
    history = read_history(settings)
    others = read_others(history.others, settings)
    question = question_of(request, history.runs, others)
    runs = of_question(history.runs, question.weights, question.criterion)
    seen = observe(runs, history.runs)
    own, same_model = others_about(question, others, [run.id for run in runs])
    known = {*(run.id for run in runs), *(other.manifest.id for other in own)}
    lost = [job for job in unfinished if asked_in(job.request).is_about(question, known)]
    parts = _parts(runs, own, lost, seen).model_copy(
        update={
            "hypotheses": registered(settings, runs),
            "explanations": explanations_of(seen.names, explanations, settings),
            "imported": tuple(
                said for path in request.imported for said in imported_statements(path, question.criterion, settings)
            ),
            "runs": _latest_first(
                [
                    *(_run(run) for run in runs),
                    *(other.listed(same_criterion=True) for other in own),
                    *(other.listed(same_criterion=False) for other in same_model),
                    *(_lost(job) for job in lost),
                ]
            ),
        }
    )
    grades: Counter[Grade] = Counter(claim.grade for claim in parts.claims)
    named = (run.investigator for run in parts.runs)
    return Dossier(
        model=question.model,
        weights=question.weights,
        criterion=question.criterion,
        headline=_headline(question.criterion, parts, grades),
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


def question_of(request: DossierRequest, runs: Sequence[PastRun], others: Sequence[OtherRun] = ()) -> Question:
    """Return the model and the criterion that a request means, as the latest run names them.

    Raises:
        NoDossier: No report is about them, or several dossiers fit.
    """
    fitting = {
        key: question
        for key, (question, _) in _questions(runs, others).items()
        if (request.criterion is None or question.same_criterion(request.criterion))
        and (request.model is None or request.model == question.model or question.weights.startswith(request.model))
    }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    known = "; ".join(
        f"{found.model} on '{found.criterion[:80]}' (weights {found.weights[:12]})" for found in fitting.values()
    )
    if fitting:
        raise NoDossier(f"{len(fitting)} dossiers fit: {known[:600]}.", remedy="Name model and criterion of one.")
    raise NoDossier(
        "No report of this workspace is about that model and criterion.",
        remedy="Call dossier without model and criterion for those there are, or inspect first.",
    )


def _questions(
    runs: Sequence[PastRun], others: Sequence[OtherRun]
) -> dict[tuple[str, str], tuple[Question, list[datetime]]]:
    """Return every question that a report is about, with when its runs ended; the latest name of it counts."""
    found: dict[tuple[str, str], tuple[Question, list[datetime]]] = {}
    asked = [
        *((run.at, Question(run.report.model.id, weights_of(run.report.model), run.report.criterion)) for run in runs),
        *(
            (other.manifest.ended, Question(model, weights, other.asked.criterion))
            for other in others
            for model, weights in sorted(other.asked.models)
            if weights and other.asked.criterion
        ),
    ]
    for at, question in sorted(asked, key=lambda one: one[0]):
        key = question.weights, same_words(question.criterion)
        times = found[key][1] if key in found else []
        found[key] = question, [*times, at]
    return found


def _parts(runs: Sequence[PastRun], others: Sequence[OtherRun], lost: Sequence[Unfinished], seen: Seen) -> DossierParts:
    units = seen.of.items()
    changes = [change for unit, found in units for change in transitions(found, unit, seen.edits.get(unit, ()))]
    opposed = (contradiction(seen.edits[unit], unit) for unit in seen.edits)
    return DossierParts(
        claims=tuple(_claims(seen)),
        transitions=tuple(sorted(changes, key=lambda change: change.at, reverse=True)),
        contradictions=tuple(found for found in opposed if found is not None),
        disagreements=tuple(found for unit, seen_of in units for found in disagreements(seen_of, unit)),
        negatives=(
            *(found for run in reversed(runs) for found in negatives(run, seen)),
            *(found for other in reversed(others) for found in other.not_found()),
            *(_no_answer(job) for job in lost),
        ),
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
        state=job.state,
        headline=job.text,
        dataset="",
        seed=None,
        n_claims=0,
    )


def _no_answer(job: Unfinished) -> NegativeResult:
    text = f"{job.capability} {'failed' if job.state == 'failed' else 'was cancelled'} and shows nothing: {job.text}"
    return NegativeResult(run=job.job_id, unit=None, code=job.state, text=text)


def _latest_first(runs: Sequence[DossierRun]) -> tuple[DossierRun, ...]:
    return tuple(sorted(runs, key=lambda run: (run.at, run.run), reverse=True))


def _headline(criterion: str, parts: DossierParts, grades: Counter[Grade]) -> str:
    n_reports = sum(run.n_claims > 0 for run in parts.runs)
    if grades["contradicted"]:
        return (
            f"Edits of {grades['contradicted']} units disagree in sign on '{criterion}'; of "
            f"{counted(len(parts.claims), 'unit', 'units')} in {counted(n_reports, 'report', 'reports')} "
            f"{grades['validated']} stand validated."
        )
    if grades["validated"]:
        best = next(claim for claim in parts.claims if claim.grade == "validated")
        return (
            f"{best.name} stands validated on '{criterion}' by its latest edit, on those prompts and words; "
            f"{grades['validated']} of {counted(len(parts.claims), 'unit', 'units')} in "
            f"{counted(n_reports, 'report', 'reports')} do."
        )
    if not parts.claims:
        return (
            f"No unit was graded on '{criterion}' yet: {counted(len(parts.runs), 'run', 'runs')} of other kinds listed."
        )
    highest = next((grade for grade in _STRONGEST_FIRST if grades[grade]), "weak")
    return (
        f"Nothing stands validated on '{criterion}': of {counted(len(parts.claims), 'unit', 'units')} in "
        f"{counted(n_reports, 'report', 'reports')} the highest "
        f"standing is {highest.replace('_', ' ')}, by correlation or by edits that showed too little."
    )
