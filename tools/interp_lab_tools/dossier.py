"""dossier: what this workspace knows of a model and a criterion, over all runs and processes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.artifacts import ArtifactRef
from interp_lab.contracts.dossier import DOSSIER_KIND, Dossier, DossierParts, DossierRequest, DossierResult
from interp_lab.contracts.jobs import JobState
from interp_lab.errors import LabError, ReadOnlyLab
from interp_lab.jobs.job import Job
from interp_lab.reports.numbers import counted
from interp_lab.workflows.dossier import Unfinished, list_dossiers, make_dossier, next_cursor, page_of
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.explanations import known_explanations
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import artifact_ref, as_json

_ENDED_EMPTY: tuple[JobState, ...] = ("failed", "cancelled")
_MOST_JOBS = 1000
_MOST_CHARS = 12_000
"""Size of the section that is asked for; entries are left out until it fits, and come on the next page."""
_SHORT_CHARS = 4_500
"""Size of all parts together; entries are left out from the longest part, and counts tell how many there are."""


def _handle(request: DossierRequest, lab: Lab) -> DossierResult:
    if request.model is None and request.criterion is None:
        return _listed(lab)
    if request.publish and lab.read_only:
        raise ReadOnlyLab(remedy="Leave publish out, or start the server without --read-only.")
    dossier = make_dossier(request, lab.settings, tuple(_unfinished(lab)), known_explanations(lab))
    room = _MOST_CHARS if request.section else _SHORT_CHARS
    parts = _fitting(page_of(dossier, request), room)
    cursor = next_cursor(dossier, request, parts)
    return DossierResult(
        summary=_in_words(dossier),
        warnings=_warnings(dossier),
        artifacts=(_publish(dossier, request, lab),) if request.publish else (),
        agent_next_actions=tuple(_actions(dossier, request, cursor, _left_out(dossier, request, parts))),
        model=dossier.model,
        weights=dossier.weights,
        criterion=dossier.criterion,
        grades=dossier.grades,
        investigators=dossier.investigators,
        counts=dossier.counts,
        parts=parts,
        next_cursor=cursor,
    )


def _listed(lab: Lab) -> DossierResult:
    entries = list_dossiers(lab.settings)
    actions = [
        NextAction(
            tool="dossier",
            arguments={"model": entry.model, "criterion": entry.criterion},
            why="See what is known.",
        )
        for entry in entries[:1]
    ]
    return DossierResult(
        summary=f"Reports of this workspace are about {len(entries)} pairs of a model and a criterion; latest first.",
        agent_next_actions=tuple(actions),
        dossiers=entries[:50],
    )


def _unfinished(lab: Lab) -> Iterator[Unfinished]:
    """Yield jobs that published nothing: that something was tried and did not work is knowledge too."""
    for job in lab.engine.list_jobs(states=_ENDED_EMPTY, limit=_MOST_JOBS).items:
        try:
            spec = lab.engine.spec(job.id)
        except LabError:
            continue
        yield Unfinished(
            job_id=job.id,
            capability=job.capability,
            ended=job.ended_at or job.created_at,
            state="failed" if job.state == "failed" else "cancelled",
            text=_why(job),
            investigator=spec.investigator,
            request=spec.request,
        )


def _why(job: Job) -> str:
    return f"{job.error.code}: {job.error.what}"[:300] if job.error is not None else "cancelled"


def _in_words(dossier: Dossier) -> str:
    counts = dossier.counts
    grades = ", ".join(f"{n} {grade}" for grade, n in dossier.grades.items())
    return (
        f"{dossier.headline}\n{counted(counts.runs, 'run', 'runs')}, {counted(counts.claims, 'unit', 'units')} "
        f"({grades or 'none graded'}), {counted(counts.transitions, 'change', 'changes')} of standing, "
        f"{counted(counts.contradictions, 'contradiction', 'contradictions')}, "
        f"{counted(counts.disagreements, 'disagreement', 'disagreements')}, "
        f"{counted(counts.negatives, 'negative result', 'negative results')}, "
        f"{counted(counts.explanations, 'explanation', 'explanations')}."
    )


def _warnings(dossier: Dossier) -> tuple[str, ...]:
    lines = ["A standing sums up runs by a fixed rule; read the run that it rests on before you use it."]
    if dossier.unreadable:
        lines.append(f"{len(dossier.unreadable)} reports of the workspace cannot be read and are left out.")
    return tuple(lines)


def _left_out(dossier: Dossier, request: DossierRequest, parts: DossierParts) -> str | None:
    """Return the section of which most entries are left out here, where none was asked for."""
    missing = {name: getattr(dossier.counts, name) - len(getattr(parts, name)) for name in DossierParts.model_fields}
    most = max(missing, key=lambda name: missing[name])
    return most if request.section is None and missing[most] > 0 else None


def _actions(
    dossier: Dossier, request: DossierRequest, cursor: str | None, left_out: str | None
) -> Iterator[NextAction]:
    again: dict[str, JsonValue] = {"model": dossier.model, "criterion": dossier.criterion}
    if cursor is not None and request.section is not None:
        page: dict[str, JsonValue] = {"section": request.section, "limit": request.limit, "cursor": cursor}
        yield NextAction(tool="dossier", arguments=again | page, why="Read on.")
    if left_out is not None:
        whole: dict[str, JsonValue] = {"section": left_out}
        yield NextAction(tool="dossier", arguments=again | whole, why=f"Read all {left_out}.")
    yield NextAction(tool="plan_evidence", arguments=again, why="See what would move each claim, and at what cost.")
    if not request.publish:
        yield NextAction(tool="dossier", arguments=again | {"publish": True}, why="Write it as HTML and Markdown.")


def _fitting(parts: DossierParts, room: int) -> DossierParts:
    """Return the parts with so many entries that the answer stays readable; the counts tell what is left out."""
    while len(str(as_json(parts))) > room:
        several = [name for name in DossierParts.model_fields if len(getattr(parts, name)) > 1]
        sizes = {name: len(str([as_json(e) for e in getattr(parts, name)])) for name in several}
        if not sizes:
            break
        longest = max(sizes, key=lambda name: sizes[name])
        parts = parts.model_copy(update={longest: getattr(parts, longest)[:-1]})
    return parts


def _publish(dossier: Dossier, request: DossierRequest, lab: Lab) -> ArtifactRef:
    from interp_lab.reports.dossier import render_dossier, render_dossier_markdown  # lazy: templates, when asked

    origin = inline_origin(
        "dossier",
        request,
        {f"report {n}": run.run for n, run in enumerate(dossier.parts.runs) if run.state == "succeeded"},
    )
    title = f"Dossier: {dossier.criterion[:120].rstrip('.')} in {dossier.model}"[:200]
    with lab.engine.inline.artifact(DOSSIER_KIND, title, origin) as writer:
        writer.write_json("dossier.json", dossier.model_dump(mode="json"))
        writer.write_text("dossier.md", render_dossier_markdown(dossier))
        writer.write_text("dossier.html", render_dossier(dossier))
    return artifact_ref(lab, writer.manifest)


DOSSIER = InlineCapability(
    name="dossier",
    title="What is known of a model and a criterion",
    guidance=(
        "Everything this workspace has on one model and criterion: how each unit's claim stands after all runs, every "
        "change of standing, edits that contradict each other, runs that disagree, what was looked for and not found, "
        "registered hypotheses with what came of them, explanations, and failed runs. Pools parallel investigations. "
        "Derived anew from artifacts and jobs. Without model and criterion: the list of dossiers. With section: one "
        "part, page by page. publish writes JSON, Markdown and HTML. It adds no evidence: grades are those of the runs."
    ),
    request=DossierRequest,
    result=DossierResult,
    handler=_handle,
    effects=Effects(read_only=False, writes_if_asked=("publish",)),
    toolset="evidence",
    changes="No grade; it says what all runs together show.",
    example={"model": "builtin:pocket-llama", "criterion": "the word is a person's name"},
)
