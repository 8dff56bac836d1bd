"""compare: which units of one model are units of another, on the same prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.compare import (
    ComparedUnit,
    ComparePlan,
    CompareRequest,
    CompareResult,
    ComparisonReport,
    Side,
)
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import HubUnreachable, InvalidRequest
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.models.text_files import local_source, refuse_other_pooling
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.comparing.anchors import OTHER_PLACE, SAME_PLACE, asked_of, named_anchors
from interp_lab.workflows.comparing.described import described
from interp_lab.workflows.comparing.match_file import pairs_in_file
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.inspect_recorded import plan_recorded
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_HELD = ("needs_causal_evidence", "validated")
_MANY_UNITS = 40
"""Units of each side where few gave no match."""


def _plan(request: CompareRequest, lab: Lab) -> Plan:
    prompts = named_anchors(request, lab.settings)
    inputs: dict[str, str] = {}
    if request.text_encoder is not None:
        refuse_other_pooling(local_source(request.text_encoder, lab.settings).directory)
        inputs["text encoder"] = fingerprint(request.text_encoder, lab.settings)
    for name, side in (("left", request.left), ("right", request.right)):
        described(side, request, prompts, lab.settings)
        inputs[name] = _check_side(side, request, prompts, lab)
    _refuse_same(request, inputs, lab.settings)
    n_named = len(pairs_in_file(request, lab.settings))
    pairs = n_named or 2 * request.n_units
    plan = ComparePlan(
        n_prompts=None if prompts is None else len(prompts.prompts),
        n_pairs_at_most=pairs,
        n_edited=_n_edited(request, prompts, n_named),
        least_q=_least_q(request, n_named),
        advisories=tuple(
            _advisories(request, two_formats=_is_one_model(request, inputs) and _differ(request, lab.settings))
        ),
    )
    dictionaries = dict.fromkeys((*request.left.dictionaries, *request.right.dictionaries))
    names = {name: dictionary_stamp(name, lab.settings) for name in dictionaries}
    how = f"named in {request.matches}" if request.matches else "chosen on explore prompts"
    who = "The stored prompts" if plan.n_prompts is None else f"{plan.n_prompts} prompts"
    return Plan(
        summary=(
            f"{who} through {request.left.model.id} and {request.right.model.id}, at most {pairs} pairs {how} and "
            f"tested on confirm prompts with {request.n_permutations} exchanges."
        ),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{request.left.model.id} beside {request.right.model.id}"[:200],
        slot=slot_for(request.left.model.device, lab.settings),
        inputs={
            **({} if prompts is None else {"prompts": prompts.sha256}),
            **inputs,
            **{f"dictionary {name}": stamp for name, stamp in names.items()},
        },
        warnings=plan.advisories,
    )


def _refuse_same(request: CompareRequest, stamps: Mapping[str, str], settings: Settings) -> None:
    """Refuse one model beside itself at the same places in one number format, as far as files and request tell."""
    if not _is_one_model(request, stamps) or _differ(request, settings):
        return
    left, right = (
        {*side.addresses, *side.dictionaries} if side.addresses or side.dictionaries else {None}
        for side in _sides(request)
    )
    streams = {place for place in (*left, *right) if isinstance(place, Address) and place.point == "resid_post"}
    if left & right or (None in left | right and streams):  # no place named is the stream of every layer
        raise InvalidRequest(SAME_PLACE, remedy=OTHER_PLACE)


def _is_one_model(request: CompareRequest, stamps: Mapping[str, str]) -> bool:
    recorded = any(side.evidence is not None or side.report is not None for side in _sides(request))
    return not recorded and stamps["left"] == stamps["right"]


def _sides(request: CompareRequest) -> tuple[Side, Side]:
    return request.left, request.right


def _differ(request: CompareRequest, settings: Settings) -> bool:
    """Return whether the sides have two number formats."""
    return len({_format(side, settings) for side in _sides(request)}) > 1


def _format(side: Side, settings: Settings) -> str:
    """Number format of a side; 'auto' is float32 on a processor."""
    auto = side.model.dtype == "auto" and slot_for(side.model.device, settings) == "cpu"
    return "float32" if auto else side.model.dtype


def _n_edited(request: CompareRequest, prompts: PromptSet | None, n_named: int) -> int | None:
    if request.by == "responses" or prompts is None:
        return None
    units = n_named or request.n_units
    judging = -(-sum(prompts.positive(request.threshold)) // 2)  # random edits run on confirm positives alone
    return 2 * units * (len(prompts.prompts) + request.n_controls * judging)


def _least_q(request: CompareRequest, n_named: int) -> float:
    """The smallest p of a pair, which is its q where every pair has it."""
    exchanges = request.n_permutations
    if request.by == "responses":
        return 1 / (exchanges + 1)
    return max(1 / (exchanges + 1), 1 / (2 * (n_named or request.n_units) * request.n_controls + 1))


def _check_side(side: Side, request: CompareRequest, prompts: PromptSet | None, lab: Lab) -> str:
    """Return what changes when the side's files do, after every check that needs no model."""
    if side.evidence is not None:
        return plan_recorded(asked_of(side, request, None), lab).inputs["evidence"]
    settings = lab.settings
    dictionaries = dictionary_configs(side.dictionaries, settings)
    source = locate(side.model, settings)
    if source is None and settings.offline:
        raise HubUnreachable(f"{side.model.id} is not on this machine and the operator keeps it offline.")
    if source is not None:
        facts = preflight(
            source.directory,
            addresses=side.addresses,
            prompts={} if prompts is None else dict(zip(prompts.ids(), prompts.texts(), strict=True)),
            allow_remote_code=settings.trust_remote_code,
        )
        for dictionary in dictionaries:
            addresses_read(dictionary, facts)
    return fingerprint(side.model, settings)


def _advisories(request: CompareRequest, *, two_formats: bool) -> Iterator[str]:
    if two_formats:
        yield "Both sides are one model in two number formats; diff_models says what became of each unit in its place."
    if isinstance(request.dataset, InlinePrompts):
        yield "Prompts written into the request cannot be named again; a file can."
    if request.by == "responses" and not (request.left.interventions and request.right.interventions):
        yield "Without interventions on both sides no match can be more than needs_causal_evidence."


def _handle(request: CompareRequest, run: Run) -> CompareResult:
    from interp_lab.workflows.compare import compare  # lazy: the workflow imports torch, and only the worker may

    def suggest(report: ComparisonReport) -> tuple[NextAction, ...]:
        return tuple(_next(request, report))

    found = compare(request, run, settings=Settings.from_env(), suggest=suggest)
    by_effects = tuple(_by_effects(request, found, run.artifact_ids[0])) if run.artifact_ids else ()
    # one call on both sides goes before two of which one could be made without the other; the report has these
    return found.model_copy(update={"agent_next_actions": by_effects or found.agent_next_actions})


def _by_effects(request: CompareRequest, found: CompareResult, artifact: str) -> Iterator[NextAction]:
    """Offer the test of what units do, of the pairs that respond alike or, where none does, of pairs of its own."""
    recorded = request.left.evidence is not None or request.right.evidence is not None
    if request.by == "effects" or recorded or request.dataset is None or isinstance(request.dataset, InlinePrompts):
        return
    asked = request.model_dump(mode="json", exclude_defaults=True, exclude=set(RUN_CONTROLS))
    asked["by"] = "effects"
    if found.n_matched:
        asked["matches"] = artifact
        why = "Takes the units of these pairs away in both models and compares what that does to words that both know."
    else:
        why = "Units that respond otherwise may do the same: chooses and tests pairs by what taking them away does."
    yield NextAction(tool="compare", arguments=asked, why=why)


def _next(request: CompareRequest, report: ComparisonReport) -> Iterator[NextAction]:
    """Offer the interventions on both sides that the closest open match lacks; without a match, a wider search."""
    open_match = next((match for match in report.matches if match.grade == "needs_causal_evidence"), None)
    if not any(match.grade in _HELD for match in report.matches):
        yield from _wider(request)
    if open_match is None or request.dataset is None or isinstance(request.dataset, InlinePrompts):
        return
    said = cast("dict[str, JsonValue]", request.model_dump(mode="json", exclude=set(RUN_CONTROLS)))
    for name, side, unit in (("left", request.left, open_match.left), ("right", request.right, open_match.right)):
        if "/" in unit.address or unit.effect is not None or side.evidence is not None:
            continue
        yield NextAction(
            tool="intervene",
            arguments={
                "model": cast("dict[str, JsonValue]", said[name])["model"],
                "units": [_named(unit)],
                "dry_run": True,
                **{key: said[key] for key in ("criterion", "dataset", "pooling", "threshold", "seed")},
            },
            why=(
                f"Measures what {unit.address} #{unit.index} does in {side.model.id}; give both the same targets, then "
                "name both reports as interventions of their sides in compare."
            ),
        )


def _wider(request: CompareRequest) -> Iterator[NextAction]:
    """Nothing matched: more units of each side, or what taking them away does, may."""
    if isinstance(request.dataset, InlinePrompts):
        return
    asked = request.model_dump(mode="json", exclude_defaults=True, exclude=set(RUN_CONTROLS))
    if request.n_units < _MANY_UNITS and request.matches is None:
        why = "No pair held; more units of each side are tested, and every q counts them."
        yield NextAction(tool="compare", arguments={**asked, "n_units": _MANY_UNITS, "dry_run": True}, why=why)
    if request.by == "responses" and request.left.evidence is None and request.right.evidence is None:
        why = "No pair is active alike; units may still do alike, which edits on both sides show."
        yield NextAction(tool="compare", arguments={**asked, "by": "effects", "dry_run": True}, why=why)


def _named(unit: ComparedUnit) -> dict[str, JsonValue]:
    return {"address": unit.address, "index": unit.index}


COMPARE = JobCapability(
    name="compare",
    title="Match units of two models",
    guidance=(
        "Both sides answer the same scored prompts: models that are run, or stores and records on disk; units of "
        "inspect reports, or those that follow the criterion best. Pairs are chosen on explore prompts (one to one, "
        "and nearest), or named in a match file, and tested on confirm prompts: correlation within label with "
        "interval, p by exchanged prompts and by all other units, q. Beside it direction through a fitted map with its "
        "held-out error, promoted words, explanations, and effects where interventions of both sides are named; "
        "what is missing is left out and said. Likeness alone is at most needs_causal_evidence. Runs as a job: call "
        "job_wait until it has ended. The artifact has matches.json in the peer's format."
    ),
    request=CompareRequest,
    result=CompareResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, open_world=True),
    toolset="evidence",
    changes="Grades of matches; validated only where effects agree on both sides.",
    example={
        "left": {"model": "builtin:pocket-gpt2"},
        "right": {"model": "builtin:pocket-llama"},
        "criterion": "the next token is a measurement unit",
        "dataset": "builtin:measurement-unit",
    },
)
