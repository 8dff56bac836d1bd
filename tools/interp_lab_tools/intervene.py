"""intervene: what editing a unit does to a behaviour, beside controls; a dry run unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.intervene import IntervenePlan, InterveneRequest, InterveneResult, OutcomeGrade, UnitRef
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.contracts.unit_selection import UnitScreen
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups, refuse_one_sided, refuse_without_spans
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import CannotBeSharded, PlanChanged, SplitImpossible
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS
from interp_lab.evidence.split import DEFAULT_SHARES, split_groups
from interp_lab.jobs.parts.sharding import Sharding
from interp_lab.models.reference import fingerprint
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import dictionary_stamp
from interp_lab.workflows.intervening.checks import CheckedModel, checked_model, read_units
from interp_lab.workflows.intervening.cost import cost_in_words, peak_bytes, planned_seconds
from interp_lab.workflows.intervening.plan import n_sets, n_trials, refuse_unfit, strengths_of
from interp_lab.workflows.intervening.registered import refuse_unregistered
from interp_lab.workflows.intervening.sources import Found, find_units
from interp_lab.workflows.intervening.work import Halves, blocks_after, work_of
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.inspect_again import inspect_again
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for
from interp_lab_tools.versions import code_version

if TYPE_CHECKING:
    from pathlib import Path

    from interp_lab.jobs.parts.partrun import PartRun
    from interp_lab.jobs.run import Run

GROUPED_AT_ONCE = 2000
"""Prompts that are compared with each other while the caller waits."""

_OUTCOMES = (
    OutcomeGrade(
        if_found="confirm effect beyond its control, q ≤ 0.05, same sign as on explore, side effects within the bound, "
        "and an association that is confirmed and no confound explains",
        grade="validated",
    ),
    OutcomeGrade(if_found="the same, with an association that is confirmed but confounded", grade="plausible"),
    OutcomeGrade(if_found="a confirmed association, and no effect beyond its control", grade="needs_causal_evidence"),
    OutcomeGrade(if_found="edits that each exceed their control and disagree in sign", grade="contradicted"),
    OutcomeGrade(if_found="no association on explore prompts", grade="weak"),
)


class _Halves(NamedTuple):
    explore: tuple[int, int]
    """Positives and negatives."""
    confirm: tuple[int, int]
    groups: int
    """Of confirm positives."""


def _plan(request: InterveneRequest, lab: Lab) -> Plan:
    if request.shards > 1 and request.scorer is not None:
        raise CannotBeSharded("What the model writes is scored over all prompts at once.")
    if request.shards > 1 and request.precise_to is not None:
        raise CannotBeSharded("Whether to stop early is decided after every few prompts, one after the other.")
    prompts = open_prompts(request.dataset, lab.settings)
    refuse_one_sided(prompts, request.threshold)
    if "span" in (request.pooling, request.where):
        refuse_without_spans(prompts)
    found = () if request.screen is not None else find_units(request, prompts, lab.settings)
    refuse_unregistered(request, prompts, found, lab.settings)
    has_pairs = any(prompt.pair for prompt in prompts.prompts)
    refuse_unfit(request, has_pairs=has_pairs, has_heads=any(each.ref.head is not None for each in found))
    model = checked_model(request, prompts, found, lab.settings)
    halves = _halves(request, prompts)
    dictionaries = [ref.dictionary for ref in read_units(request, found) if ref.dictionary is not None]
    inputs = {
        "prompts": prompts.sha256,
        "model": fingerprint(request.model, lab.settings),
        **({"report": request.report} if request.report else {}),
        **{f"dictionary {name}": dictionary_stamp(name, lab.settings) for name in dict.fromkeys(dictionaries)},
    }
    plan = _cost(request, prompts, found, halves)
    plan = plan.model_copy(
        update={
            "plan_id": _plan_id(request, inputs),
            **_time(request, prompts, found, halves, model=model, settings=lab.settings),
        }
    )
    return Plan(
        summary=_in_words(plan, request.model.id),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{request.criterion[:80]} in {request.model.id}",
        slot=slot_for(request.model.device, lab.settings),
        inputs=inputs,
        warnings=plan.advisories,
    )


def _plan_id(request: InterveneRequest, inputs: Mapping[str, str]) -> str:
    """Return the id of what would be run.

    Raises:
        PlanChanged: The request names another one.
    """
    asked = request.model_dump(mode="json", exclude=set(RUN_CONTROLS))
    found = sha256_hex(canonical_json({"request": asked, "inputs": dict(inputs), "code": code_version()}))
    if request.plan_id not in (None, found):
        raise PlanChanged
    return found


def _halves(request: InterveneRequest, prompts: PromptSet) -> _Halves | None:
    """Return the sizes of the halves; None for a set that takes too long to compare before the job starts."""
    if len(prompts.prompts) > GROUPED_AT_ONCE:
        return None
    labels, groups = prompts.positive(request.threshold), prompt_groups(prompts)
    try:
        split = split_groups(prompts.texts(), labels, groups, seed=request.seed, shares=DEFAULT_SHARES)
    except SplitImpossible:
        split = split_groups(prompts.texts(), labels, groups, seed=request.seed, shares={"explore": 1.0})
    explore, confirm = split.rows("explore"), split.rows("confirm")
    n_on = [sum(labels[i] for i in rows) for rows in (explore, confirm)]
    return _Halves(
        explore=(n_on[0], len(explore) - n_on[0]),
        confirm=(n_on[1], len(confirm) - n_on[1]),
        groups=len({groups[i] for i in confirm if labels[i]}),
    )


def _time(
    request: InterveneRequest,
    prompts: PromptSet,
    found: Sequence[Found],
    halves: _Halves | None,
    *,
    model: CheckedModel | None,
    settings: Settings,
) -> dict[str, JsonValue]:
    """Seconds and memory, where the model is on this machine."""
    if model is None:
        return {}
    refs, n_layers = _edited(request, found), model.facts.n_layers
    places = [model.writes.get(ref.dictionary) if ref.dictionary else ref.address for ref in refs]
    explore, confirm = _sizes(request, prompts, halves)
    work = work_of(
        request,
        model.facts,
        Halves(explore, confirm),
        kinds=_kinds(refs),
        blocks=[blocks_after(place, n_layers) for place in places],
        lengths=model.lengths,
    )
    seconds, source = planned_seconds(work, request.model, settings)
    return {"seconds": seconds, "seconds_source": source, "peak_bytes": peak_bytes(model.facts)}


def _edited(request: InterveneRequest, found: Sequence[Found]) -> list[UnitRef]:
    """Every unit that is edited; of a screen, as many as it will choose."""
    screen = request.screen
    if screen is None:
        return [each.ref for each in found]
    return [UnitRef(dictionary=screen.dictionary, address=screen.address, index=i) for i in range(screen.n)]


def _kinds(refs: Sequence[UnitRef]) -> list[int]:
    """Controls per unit and control number."""
    return [3 if ref.dictionary is not None else 1 if ref.head is not None else 2 for ref in refs]


def _sizes(
    request: InterveneRequest, prompts: PromptSet, halves: _Halves | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    if halves is not None:
        return halves.explore, halves.confirm
    positive = sum(prompts.positive(request.threshold))
    half = (positive // 2, (len(prompts.prompts) - positive) // 2)
    return half, half


def _cost(
    request: InterveneRequest, prompts: PromptSet, found: Sequence[Found], halves: _Halves | None
) -> IntervenePlan:
    from interp_lab.statistics.power import detectable_mean  # lazy: numpy is not needed to list tools

    explore, confirm = _sizes(request, prompts, halves)
    screen, kinds = request.screen, _kinds(_edited(request, found))
    every, effects = n_trials(request, kinds=kinds)
    chosen, chosen_effects = n_trials(request, kinds=kinds, once=True)
    every += n_sets(request, len(kinds))
    edited = explore[0] * every + explore[1] * effects + confirm[0] * chosen + confirm[1] * chosen_effects
    groups = None if halves is None else halves.groups
    return IntervenePlan(
        plan_id="",
        n_units=len(kinds),
        units=tuple(each.key for each in found) if screen is None else (_in_screen(screen),),
        edits=tuple(f"{name} × {', '.join(f'{s:g}' for s in strengths_of(name, request))}" for name in request.edits),
        controls=_controls(request, kinds),
        n_explore=None if halves is None else sum(explore),
        n_confirm=None if halves is None else sum(confirm),
        n_groups=groups,
        n_passes=edited
        + 3 * len(prompts.prompts)
        + (0 if screen is None else (screen.n + screen.n_sample) * explore[0]),
        seconds=None,
        seconds_source=None,
        peak_bytes=None,
        power=round(detectable_mean(1.0, groups), 3) if groups is not None and groups > 1 else None,
        outcomes=_OUTCOMES,
        advisories=tuple(_advisories(request, found, groups)),
    )


def _in_screen(screen: UnitScreen) -> str:
    return f"the {screen.n} with the largest estimate among all of {screen.dictionary or screen.address}"


def _controls(request: InterveneRequest, kinds: Sequence[int]) -> tuple[str, ...]:
    n = request.n_controls
    lines = [f"{n} random directions of equal norm, each with its opposite"] if max(kinds) > 1 else []
    lines += [f"{n} latents matched on firing rate and decoder norm"] if 3 in kinds else []
    lines += [f"{n} other heads of the layer"] if 1 in kinds else []
    return (*lines, "the opposite edit", "the same edit at strength 0", "the same edit on negatives")


def _advisories(request: InterveneRequest, found: Sequence[Found], groups: int | None) -> Iterator[str]:
    if groups is not None and groups < LEAST_CONFIRM_GROUPS:
        yield (
            f"Only {groups} independent groups of positives are left to confirm; {LEAST_CONFIRM_GROUPS} are needed "
            "before anything can be validated."
        )
    if groups is None:
        yield (
            f"More than {GROUPED_AT_ONCE:,} prompts are compared by the job, not here: groups and power are in the "
            "report, not in this plan."
        )
    if request.screen is not None:
        yield "The screen is a linear estimate on explore positives; its error against exact effects will be reported."
    if request.units:
        yield "Units named by hand are taken as chosen without these prompts; from an inspect run, give its report."
    if len(found) == 1 or (request.screen is not None and request.screen.n == 1):
        yield "One unit alone shows nothing if another can replace it; name several with together=true for that."
    if not request.targets and request.metric in ("logit_difference", "log_probability"):
        yield "Target words will be chosen from what the model predicts on explore prompts, and listed."


def _in_words(plan: IntervenePlan, model_id: str) -> str:
    groups = "" if plan.n_groups is None else f", {plan.n_groups} groups of positives to grade on"
    power = "" if plan.power is None else f"; effects from {plan.power:g} standard deviations on are found"
    cost = cost_in_words(plan.seconds, plan.peak_bytes)
    return (
        f"{counted(plan.n_units, 'unit', 'units')} of {model_id}, {counted(len(plan.edits), 'edit', 'edits')} with "
        f"controls, {plan.n_passes} passes{cost}"
        f"{groups}{power}."
    )


def _handle(request: InterveneRequest, run: Run) -> InterveneResult:
    from interp_lab.workflows.intervene import intervene  # lazy: the workflow imports torch, and only the worker may

    settings = Settings.from_env()
    found = intervene(request, run, settings=settings, suggest=lambda report: suggest(request, report))
    again = inspect_again(request, run.artifact_ids[0], settings) if run.artifact_ids else ()
    return found.model_copy(update={"agent_next_actions": (*found.agent_next_actions, *again)})


def _plan_shards(request: InterveneRequest, run: PartRun, stage: int) -> Sequence[JsonValue]:
    from interp_lab.workflows import intervene_sharded as sharded  # lazy: imports torch, and only the worker may

    return sharded.plan(request, run, stage)


def _run_shard(request: InterveneRequest, run: PartRun, payload: JsonValue) -> None:
    from interp_lab.workflows import intervene_sharded as sharded  # lazy: imports torch, and only the worker may

    sharded.run_shard(request, run, payload, settings=Settings.from_env())


def _gather(request: InterveneRequest, run: PartRun, outputs: Sequence[Path]) -> None:
    del request
    from interp_lab.workflows import intervene_sharded as sharded  # lazy: imports torch, and only the worker may

    sharded.gather(run, outputs)


def suggest(request: InterveneRequest, report: InterveneReport) -> tuple[NextAction, ...]:
    """Return the calls that would settle what the report leaves open, ready to be made."""
    if isinstance(request.dataset, InlinePrompts):
        return ()  # the prompts would have to be repeated in every action
    arguments = request.model_dump(mode="json", exclude_defaults=True, exclude=set(RUN_CONTROLS))
    single = [unit for unit in report.units if not unit.members]
    unmoved = [unit for unit in single if any(reason.code == "effect_like_control" for reason in unit.reasons)]
    if len(unmoved) > 1 and not request.together:
        return (_fewest(request, arguments, [single.index(unit) for unit in unmoved]),)
    if any(unit.grade == "validated" for unit in single) and "ablate_resample" not in request.edits:
        why = "An effect that holds for other ablations is not an artefact of the value that was put in."
        other: dict[str, JsonValue] = {**arguments, "edits": ["ablate_mean", "ablate_resample"], "dry_run": False}
        return (NextAction(tool="intervene", arguments=other, why=why),)
    left: dict[str, JsonValue] = {"model": request.model.id, "criterion": request.criterion}
    if any(unit.grade == "validated" for unit in single):
        why = "Nothing is open for these units; see what all runs of the criterion show together."
        return (NextAction(tool="dossier", arguments=left, why=why),)
    return (
        *_screen_instead(request, arguments, lonely=len(unmoved) == len(single) == 1),
        NextAction(tool="plan_evidence", arguments=left, why="What would move these grades, cheapest first."),
    )


def _fewest(request: InterveneRequest, arguments: dict[str, JsonValue], places: Sequence[int]) -> NextAction:
    """The call that finds which of the units that show nothing alone stand in for each other."""
    why = "Several units show nothing alone: this finds the fewest that do together, if any one of them suffices."
    wanted: dict[str, JsonValue] = {"together": True, "alone": False, "smallest": True, "edits": ["ablate_zero"]}
    if request.report is not None:
        wanted["ranks"] = [request.ranks[place] for place in places]
    elif request.units:
        wanted["units"] = [request.units[place].model_dump(mode="json", exclude_defaults=True) for place in places]
    else:  # what a search or screen would find again is not only what shows nothing
        wanted = {"together": True}
        why = "Several units show nothing alone: together they would, if any one of them suffices."
    kept = {name: value for name, value in arguments.items() if name not in {"strengths", "shards", "hypothesis"}}
    return NextAction(tool="intervene", arguments={**kept, **wanted, "dry_run": False}, why=why)


def _screen_instead(
    request: InterveneRequest, arguments: dict[str, JsonValue], *, lonely: bool
) -> tuple[NextAction, ...]:
    """Where one named unit shows nothing, another of the same place may be the cause."""
    if not lonely or len(request.units) != 1 or request.units[0].head is not None:
        return ()
    unit = request.units[0]
    place: dict[str, JsonValue] = (
        {"address": str(unit.address)} if unit.dictionary is None else {"dictionary": unit.dictionary}
    )
    kept = {name: value for name, value in arguments.items() if name not in {"units", "hypothesis"}}
    why = "This unit shows nothing; a screen of its whole place finds those that may."
    return (NextAction(tool="intervene", arguments={**kept, "screen": place, "dry_run": False}, why=why),)


INTERVENE = JobCapability(
    name="intervene",
    title="Edit units of a model and measure what it does to a behaviour",
    guidance=(
        "The step from correlation to cause. Give the report of an inspect run (or name units: coordinates, latents, "
        "heads, directions; or have them found by search or screen) with the same model and prompts. Ablates, "
        "amplifies, clamps, steers or patches, beside "
        "controls in the same run; strengths and target words are chosen on explore prompts, effects graded on "
        "confirm prompts, side effects measured on negatives. The behaviour is words, KL, cross-entropy, a later unit, "
        "or a score of text written under the edit. Without dry_run=false it only plans: passes, controls, "
        "power, what each outcome would be graded. Shows what this edit does here, not why. Runs as a job: if state is "
        "not final, call job_wait. The artifact has report.md, report.html, report.json and interventions.jsonl."
    ),
    request=InterveneRequest,
    result=InterveneResult,
    plan=_plan,
    handler=_handle,
    sharding=Sharding(count=lambda request: request.shards, plan=_plan_shards, shard=_run_shard, gather=_gather),
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="evidence",
    changes="Grades: validated if effects exceed their controls on confirm prompts, contradicted if edits disagree.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
        "units": [{"address": "resid_post.2", "index": 5}],
    },
)
