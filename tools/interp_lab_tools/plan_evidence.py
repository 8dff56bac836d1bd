"""plan_evidence: what would move each claim, how many prompts it takes, and at what cost."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue, ValidationError

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.build_prompts import BuildPromptsRequest
from interp_lab.contracts.evidence_plan import Experiment, ExperimentKind, PlanEvidenceRequest, PlanEvidenceResult
from interp_lab.contracts.intervene import GRADED_EDITS, InterveneRequest
from interp_lab.errors import LabError
from interp_lab.evidence.planning import FORMULA, gain, value_for_cost
from interp_lab.reports.numbers import counted
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.intervene import INTERVENE
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.workflows.plan_evidence import Candidate

_MOST_PER_SIDE, _LEAST_PER_SIDE = 500, 8
_ACTIONS = 3
_ASKS = "build_prompts"
_SETTLED_SHOWN = 10
_PLANNED = 6
"""Calls that are planned for their exact cost; others of their kind are taken to cost the same."""


def _handle(request: PlanEvidenceRequest, lab: Lab) -> PlanEvidenceResult:
    from interp_lab.workflows.plan_evidence import candidates_for  # lazy: numpy is not needed to list tools

    evidence = candidates_for(request, lab.settings)
    costs = _Costs(lab)
    made = [_experiment(candidate, request, costs) for candidate in evidence.candidates]
    ranked = sorted((each for each in made if each is not None), key=_best_first)
    shown = tuple(ranked[: request.limit])
    return PlanEvidenceResult(
        summary=_in_words(evidence.criterion, shown, len(ranked), len(evidence.settled)),
        warnings=("Chance and power are expectations, not findings; a call that fails to move a grade is one, too.",),
        agent_next_actions=tuple(_offered(shown))[:_ACTIONS],
        criterion=evidence.criterion,
        model=evidence.model,
        experiments=shown,
        n_experiments=len(ranked),
        settled=evidence.settled[:_SETTLED_SHOWN],
        formula=FORMULA,
    )


def _best_first(each: Experiment) -> tuple[float, float, str]:
    """Return where an experiment stands: by value, then by how clearly something is there to be settled."""
    away = -math.inf if each.stays_away is None else each.stays_away
    return -each.value, -away, each.unit


class _Cost(NamedTuple):
    """What a call takes, as its dry run says."""

    passes: int
    seconds: float | None
    """None where the model is not on this machine."""

    def times(self, factor: float) -> _Cost:
        """Return the cost of so many times the prompts."""
        seconds = None if self.seconds is None else round(self.seconds * factor, 1)
        return _Cost(math.ceil(self.passes * factor), seconds)


class _Costs:
    """What a call takes: asked of the plan itself, a few times, then known by kind."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._known: dict[tuple[str, ExperimentKind], _Cost] = {}

    def of(self, candidate: Candidate, made: NextAction) -> tuple[_Cost, NextAction] | None:
        """Return the cost of an intervention and the call that starts it; None if it would be refused.

        A call that was planned names its plan, so that nothing else is run than what was counted; one that was not is
        a dry run, which counts it.
        """
        key = (candidate.run.id, candidate.remedy.kind)
        if key in self._known and len(self._known) >= _PLANNED:
            return self._known[key], _with(made, {"dry_run": True})
        try:
            request = InterveneRequest.model_validate(dict(made.arguments))
            details = INTERVENE.plan(request, self._lab).details
        except (LabError, ValidationError):
            return None
        seconds = details.get("seconds")
        self._known[key] = _Cost(int(str(details["n_passes"])), None if seconds is None else float(str(seconds)))
        return self._known[key], _with(made, {"plan_id": str(details["plan_id"])})

    def of_new_prompts(self, candidate: Candidate, n_new: int) -> _Cost:
        """Return what is run on new prompts: the reading of each, and the edits again where the claim is about them.

        Edits are those of the run that it continues, at its cost for a prompt; a reading takes a pass of them.
        """
        again = _edits()(candidate)
        planned = None if again is None else self.of(candidate, again)
        if planned is None:
            return _Cost(n_new, None)
        edits, n_old = planned[0], max(1, candidate.run.report.dataset.n_prompts)
        if candidate.remedy.would_give == "validated":
            return edits.times(n_new / n_old)  # its passes count the reading
        return _Cost(n_new, edits.times(n_new / max(1, edits.passes)).seconds)


def _with(action: NextAction, arguments: Mapping[str, JsonValue]) -> NextAction:
    return action.model_copy(update={"arguments": {**action.arguments, **arguments}})


def _experiment(candidate: Candidate, request: PlanEvidenceRequest, costs: _Costs) -> Experiment | None:
    made = _CALLS[candidate.remedy.kind](candidate)
    new_prompts, cost = 2 * candidate.n_per_side, _Cost(0, None)
    if new_prompts:
        cost = costs.of_new_prompts(candidate, new_prompts)
    elif made is not None:
        planned = costs.of(candidate, made)
        if planned is None:
            return None
        cost, made = planned
    steps = gain(candidate.grade, candidate.remedy.would_give)
    value = value_for_cost(
        candidate.chance, steps, passes=cost.passes, new_prompts=new_prompts, prompt_cost=request.prompt_cost
    )
    return Experiment(
        unit=candidate.name,
        grade=candidate.grade,
        missing=candidate.reason.value,
        kind=candidate.remedy.kind,
        why=candidate.remedy.why,
        would_give=candidate.remedy.would_give,
        n_groups=candidate.n_groups,
        new_prompts=new_prompts,
        passes=cost.passes,
        seconds=cost.seconds,
        chance=candidate.chance,
        chance_from=candidate.chance_from,
        value=round(value, 4),
        stays_away=None if candidate.stays_away is None else round(candidate.stays_away, 4),
        call=made,
    )


def _edits(**changes: JsonValue) -> Callable[[Candidate], NextAction | None]:
    def made(candidate: Candidate) -> NextAction | None:
        from interp_lab.workflows.plan_evidence import settings_of, unit_of  # lazy: as the handler

        shared = settings_of(candidate.run)
        if shared is None:
            return None
        arguments = {**shared, **unit_of(candidate), **_earlier(candidate), **changes, "dry_run": False}
        return NextAction(tool="intervene", arguments=arguments, why=candidate.remedy.why)

    return made


def _earlier(candidate: Candidate) -> dict[str, JsonValue]:
    """Return how the unit was measured before, for an experiment that goes on from there."""
    if candidate.run.manifest.kind != "intervention_report":
        return {}
    kept = ("metric", "targets", "alternatives", "where", "edits")
    return {name: candidate.run.request[name] for name in kept if candidate.run.request.get(name)}


def _weaker(candidate: Candidate) -> NextAction | None:
    used = candidate.run.request.get("strengths")
    strengths = [float(str(s)) for s in used] if isinstance(used, list) and used else [1.0]
    graded = [name for name in candidate.run.request.get("edits") or () if name in GRADED_EDITS]  # type: ignore[union-attr]
    least = min(strengths)
    return _edits(strengths=[least / 4, least / 2], edits=graded or ["suppress"])(candidate)  # type: ignore[arg-type]


def _prompts(candidate: Candidate) -> NextAction | None:
    name = re.sub(r"[^a-z0-9]+", "-", candidate.run.report.criterion.casefold()).strip("-")[:40].strip("-") or "set"
    arguments: dict[str, JsonValue] = {
        "name": f"{name}-{candidate.n_per_side}",
        "criterion": candidate.run.report.criterion,
        "source": {"kind": "ask", "n_per_side": min(max(candidate.n_per_side, _LEAST_PER_SIDE), _MOST_PER_SIDE)},
    }
    BuildPromptsRequest.model_validate(arguments)
    return NextAction(tool=_ASKS, arguments=arguments, why=candidate.remedy.why + _in_turns(candidate))


def _in_turns(candidate: Candidate) -> str:
    """Return what to do where one request for prompts asks for too few."""
    n = candidate.n_per_side
    if n <= _MOST_PER_SIDE:
        return ""
    turns = math.ceil(n / _MOST_PER_SIDE)
    return (
        f" It needs {n:,} prompts of each label and one request asks for at most {_MOST_PER_SIDE}: ask {turns} times, "
        "and build one set from all candidates."
    )


_CALLS: dict[ExperimentKind, Callable[[Candidate], NextAction | None]] = {
    "edit": _edits(),
    "other_measure": _edits(metric="logit_difference"),
    "doses": _edits(edits=["suppress", "amplify"], strengths=[0.25, 0.5, 1.0, 2.0]),
    "weaker": _weaker,
    "other_edit": _edits(edits=["ablate_mean", "ablate_resample"]),
    "more_prompts": _prompts,
    "balanced_prompts": _prompts,
}


def _offered(shown: tuple[Experiment, ...]) -> Iterator[NextAction]:
    """Yield the best call of each kind of experiment; those for other units stand beside their units."""
    best = {(each.kind, each.call.tool): each for each in reversed(shown) if each.call is not None}
    tools: set[str] = set()
    for each in shown:
        call = each.call
        if call is None or best[each.kind, call.tool] is not each or (call.tool == _ASKS and _ASKS in tools):
            continue
        tools.add(call.tool)
        yield call.model_copy(update={"why": f"{each.unit}: {call.why}"})


def _in_words(criterion: str, shown: tuple[Experiment, ...], n: int, n_settled: int) -> str:
    if not shown:
        return f"No run of this lab would move a claim on '{criterion}'; {n_settled} claims are settled as they stand."
    best = shown[0]
    cost = f"{best.passes:,} runs of the model" + (f" and {best.new_prompts} new prompts" if best.new_prompts else "")
    return (
        f"Best value for cost: {best.kind.replace('_', ' ')} for {best.unit} ({best.grade}, {best.missing}), which "
        f"could give {best.would_give} for {cost}; the chance, {best.chance:.2f}, is an expectation "
        f"({best.chance_from}).\n"
        f"{counted(n, 'experiment', 'experiments')} in all, {counted(n_settled, 'claim', 'claims')} settled."
    )


PLAN_EVIDENCE = InlineCapability(
    name="plan_evidence",
    title="Plan which experiment would move which claim",
    guidance=(
        "For every claim of a report, or of the dossier of a model and criterion: what keeps it at its grade, which "
        "experiment would move it as a ready call, how many independent groups and new prompts that takes for 80 % "
        "power, runs of the model and seconds as a dry run counts them, and the chance from what such runs gave here "
        "before. Ranked by expected grade steps for cost; the formula is in the answer. settled lists claims that more "
        "of the same would not move. It plans; nothing is run or shown."
    ),
    request=PlanEvidenceRequest,
    result=PlanEvidenceResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="evidence",
    changes="No grade; it says which experiment would move one.",
    example={"model": "builtin:pocket-llama", "criterion": "the word is a person's name"},
)
