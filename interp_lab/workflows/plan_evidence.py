"""Plan evidence: claims of a report or a dossier, what each lacks, and what would supply it at which cost. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import JsonValue

from interp_lab.contracts.base import Grade
from interp_lab.contracts.dossier import DossierRequest, EffectSeen, Observation
from interp_lab.contracts.evidence_plan import ExperimentKind, PlanEvidenceRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.corpus.generation import PER_GROUP
from interp_lab.errors import NoDossier
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS, Q_LEVEL
from interp_lab.evidence.planning import POWER, SEARCH_AFRESH, Remedy, remedy_for, smoothed
from interp_lab.evidence.reasons import Reason
from interp_lab.evidence.standing import standing
from interp_lab.settings import Settings
from interp_lab.statistics.power import detectable_auroc
from interp_lab.statistics.sample_size import groups_for_auroc, groups_for_mean, spread_from_detectable
from interp_lab.workflows.dossier import question_of
from interp_lab.workflows.memory.history import PastRun, of_question, read_history
from interp_lab.workflows.memory.observations import Seen, observe

_SHRUNK = 0.5
"""What is left of an effect that chose its unit, until other prompts have seen it."""
_NARROWEST, _FARTHEST = 1e-9, 1e6
_PROMPT_KINDS: frozenset[ExperimentKind] = frozenset({"more_prompts", "balanced_prompts"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An experiment before its call is made and counted."""

    unit: str
    """Its id."""
    name: str
    grade: Grade
    reason: Reason
    remedy: Remedy
    run: PastRun
    """The run whose prompts and settings it continues."""
    place: int
    """Of the unit in that run's report."""
    n_groups: int | None
    n_per_side: int
    """Prompts of each label that a new set needs; 0 for an experiment on the prompts there are."""
    chance: float
    chance_from: str
    stays_away: float | None
    """How far the interval of what was seen keeps from nothing, in halves of its width."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to plan from."""

    candidates: tuple[Candidate, ...]
    settled: tuple[str, ...]
    criterion: str
    model: str


def candidates_for(request: PlanEvidenceRequest, settings: Settings) -> Evidence:
    """Return an experiment for every claim that one would move, and why the others are settled.

    Raises:
        NoDossier: There is no such report, or no report of that model and criterion.
    """
    history = read_history(settings)
    runs = _runs(request, history.runs)
    seen = observe(runs, history.runs)
    by_id = {run.id: run for run in history.runs}
    everything = observe(history.runs, history.runs)
    found: list[Candidate] = []
    settled: list[str] = []
    for unit in seen.of:
        made = _candidate(unit, seen, by_id, everything)
        found += [made] if isinstance(made, Candidate) else []
        settled += [made] if isinstance(made, str) else []
    report = runs[-1].report
    return Evidence(tuple(found), tuple(settled), report.criterion, report.model.id)


def _runs(request: PlanEvidenceRequest, runs: Sequence[PastRun]) -> tuple[PastRun, ...]:
    if request.report is None:
        asked = DossierRequest(model=request.model, criterion=request.criterion)
        question = question_of(asked, runs)
        return of_question(runs, question.weights, question.criterion)
    found = tuple(run for run in runs if run.id == request.report)
    if not found:
        raise NoDossier(
            f"{request.report[:12]} is no report of inspect or intervene in this workspace.",
            remedy="Take the artifact id of such a run, as lab_overview or artifact_list gives it.",
        )
    return found


def _candidate(unit: str, seen: Seen, runs: Mapping[str, PastRun], everything: Seen) -> Candidate | str:
    stands = standing(seen.of[unit], seen.edits.get(unit, ()))
    name, latest = seen.names[unit], stands.decided_by
    run = runs[latest.run]
    found = _blind_search(latest, run) or remedy_for(stands.grade, latest.reasons)
    if found is None:
        return f"{name}: {stands.grade}, and {_why_settled(stands.grade, latest.reasons)}"
    reason, remedy = found
    need = _need(reason, latest, run) if remedy.kind in _PROMPT_KINDS else 0
    if need is None:
        return f"{name}: {stands.grade}, and {_out_of_reach(latest)}"
    chance, told = _chance(remedy.kind, everything)
    return Candidate(
        unit=unit,
        name=name,
        grade=stands.grade,
        reason=reason,
        remedy=remedy,
        run=run,
        place=_place(latest),
        n_groups=2 * need or None,
        n_per_side=2 * need * PER_GROUP,
        chance=chance,
        chance_from=told,
        stays_away=_stays_away(latest),
    )


def _blind_search(latest: Observation, run: PastRun) -> tuple[Reason, Remedy] | None:
    """Return what helps a unit that was not found by a search that could not have called even a perfect one alone."""
    report = run.report
    if not isinstance(report, InspectReport) or report.n_significant or Reason.NOT_FOUND.value not in latest.reasons:
        return None
    n = report.coordinates[_place(latest)].explore.auroc.n_groups
    blind = n < 2 or detectable_auroc(n, n, alpha=_alone(report)) >= 1
    return (Reason.NOT_FOUND, SEARCH_AFRESH) if blind else None


def _alone(report: InspectReport) -> float:
    """Return the level at which one coordinate of a search is called that no other joins."""
    return Q_LEVEL / max(1, report.n_tested)


def _stays_away(latest: Observation) -> float | None:
    """Return how far an interval keeps from no association or no effect beyond control; negative if it holds that.

    The unit is half of the interval: an AUROC and a change of logits have no other in common.
    """
    if latest.effect is not None:
        return _in_halves(latest.effect.beyond_low, latest.effect.beyond_high)
    seen = latest.association
    if seen is None or seen.low is None or seen.high is None:
        return None
    return _in_halves(seen.low - 0.5, seen.high - 0.5)


def _in_halves(low: float, high: float) -> float:
    """Return how far an interval keeps from 0 in halves of its width; one without a width counts as very narrow."""
    away = max(low, -high) / max((high - low) / 2, _NARROWEST)
    return max(-_FARTHEST, min(_FARTHEST, away))


def _why_settled(grade: Grade, reasons: tuple[str, ...]) -> str:
    if grade == "weak":
        return "what was looked for was not there on these prompts: another unit is the better bet."
    if grade == "validated":
        return "nothing is missing."
    return f"no run of this lab would move it ({', '.join(reasons) or 'no reason given'})."


def _out_of_reach(latest: Observation) -> str:
    found = latest.effect
    if found is not None:
        seen = f"its effect is {found.effect:.3g} [{found.effect_low:.3g}, {found.effect_high:.3g}]"
        bar = f"{found.to_exceed:.3g}, the least that matters or its control if that is larger"
        return f"{seen} where it had to exceed {bar}; {found.detectable:.3g} would have been found with 80 % power."
    return "an association this small is out of reach of any prompt set."


def _need(reason: Reason, latest: Observation, run: PastRun) -> int | None:
    """Return the confirm groups of positives that give 80 % power; None where more would show nothing of interest."""
    if reason in {Reason.EFFECT_LIKE_CONTROL, Reason.EFFECT_UNCONFIRMED} and latest.effect is not None:
        least = run.report.behaviour.least_effect if isinstance(run.report, InterveneReport) else 0.0
        if reason is Reason.EFFECT_LIKE_CONTROL and _too_small(latest.effect, least):
            return None
        spread = spread_from_detectable(_beyond(latest.effect), max(2, latest.n_groups))
        return groups_for_mean(max(least, abs(latest.effect.effect) * _SHRUNK), spread) if spread > 0 else 2
    if reason is Reason.NOT_FOUND and isinstance(run.report, InspectReport):
        away = abs(run.report.coordinates[_place(latest)].explore.auroc.value - 0.5) * _SHRUNK
        return groups_for_auroc(away, alpha=_alone(run.report)) if away > 0 else None
    away = _away(latest, run)
    found = groups_for_auroc(away) if away > 0 else None
    return None if found is None else max(found, LEAST_CONFIRM_GROUPS)


def _too_small(found: EffectSeen, least: float) -> bool:
    """Whether an effect's own interval, or its power where a control is what it has to exceed, leaves nothing open."""
    if max(found.effect_high, -found.effect_low) <= least:
        return True
    return found.to_exceed > least and _beyond(found) <= least


def _beyond(found: EffectSeen) -> float:
    return found.detectable - found.to_exceed


def _away(latest: Observation, run: PastRun) -> float:
    """Return how far the AUROC lies from 0.5, shrunk where only the prompts that chose the unit saw it."""
    if latest.association is not None:
        return abs(latest.association.auroc - 0.5) * (1.0 if latest.association.on_confirm_prompts else _SHRUNK)
    report = run.report
    figures = None if isinstance(report, InspectReport) else report.units[_place(latest)].association
    if figures is None:
        return 0.0
    seen_again = figures.confirm_auroc
    return abs(figures.explore_auroc - 0.5) * _SHRUNK if seen_again is None else abs(seen_again - 0.5)


def _place(latest: Observation) -> int:
    return int(latest.pointer.rsplit("/", 1)[1])


def _chance(kind: ExperimentKind, everything: Seen) -> tuple[float, str]:
    """Return how often experiments of a kind came out well in this workspace, smoothed."""
    outcomes = list(_prompt_outcomes(everything) if kind in _PROMPT_KINDS else _edit_outcomes(everything))
    well, n = sum(outcomes), len(outcomes)
    chance = smoothed(well, n) * (POWER if kind in _PROMPT_KINDS else 1.0)
    told = f"{well} of {n} such runs here came out well" if n else "no such run here yet, so one in two"
    return round(chance, 4), told


def _edit_outcomes(everything: Seen) -> Iterator[bool]:
    for found in everything.of.values():
        yield from (seen.grade == "validated" for seen in found if seen.by == "intervention")


def _prompt_outcomes(everything: Seen) -> Iterator[bool]:
    for found in everything.of.values():
        seen = [one for one in found if one.by == "association"]
        for before, after in pairwise(seen):
            if before.grade == "plausible" and before.dataset_sha256 != after.dataset_sha256:
                yield after.grade == "needs_causal_evidence"


def settings_of(run: PastRun) -> dict[str, JsonValue] | None:
    """Return the arguments that a run which continues this one shares with it; None for prompts that are not kept."""
    asked = run.request
    if not isinstance(asked.get("dataset"), str):
        return None
    kept = ("model", "criterion", "dataset", "threshold", "seed", "pooling")
    return {name: asked[name] for name in kept if asked.get(name) is not None} | {
        "model": asked.get("model") or run.report.model.id,
        "criterion": run.report.criterion,
    }


def unit_of(candidate: Candidate) -> dict[str, JsonValue]:
    """Return the arguments that name the unit again: by its report and rank, or as the run itself named it."""
    run, report = candidate.run, candidate.run.report
    if isinstance(report, InspectReport):
        return {"report": run.id, "ranks": [report.coordinates[candidate.place].rank]}
    source, ranks = run.request.get("report"), run.request.get("ranks")
    if isinstance(source, str) and isinstance(ranks, list) and candidate.place < len(ranks):
        return {"report": source, "ranks": [ranks[candidate.place]]}
    units = run.request.get("units")
    if isinstance(units, list) and candidate.place < len(units):
        return {"units": [units[candidate.place]]}
    return {"units": units, "together": True} if isinstance(units, list) else {"report": source, "ranks": ranks}
