"""trace_paths: what units at one address do to units at later ones; a dry run unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.intervene import UnitRef
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.path_report import PathReport
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.contracts.trace_paths import PathRequest, PathsResult, TracePathsRequest
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable
from interp_lab.jobs.parts.sharding import Sharding
from interp_lab.models.facts import ModelFacts
from interp_lab.models.file_tokenizer import mean_tokens
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab.workflows.intervening.cost import TOKEN_CHARACTERS
from interp_lab.workflows.intervening.work import blocks_after
from interp_lab.workflows.tracing.cost import Amount, in_words
from interp_lab.workflows.tracing.cost import plan as cost
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.path_calls import COMMON, next_for, next_of
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.parts.partrun import PartRun
    from interp_lab.jobs.run import Run


def _plan(request: TracePathsRequest, lab: Lab) -> Plan:
    whole = [name for name in (request.source_dictionary, *request.target_dictionaries) if name is not None]
    prompts, facts, tokens = opened(
        request, (*request.sources, *request.targets, *request.hold_units), whole, lab.settings
    )
    sizes = {config.source: config.n_latents for config in dictionary_configs(whole, lab.settings)}
    n_sources = sizes[request.source_dictionary] if request.source_dictionary else len(request.sources)
    n_targets = len(request.targets) + sum(sizes[name] for name in dict.fromkeys(request.target_dictionaries))
    n_positive = sum(prompts.positive(request.threshold))
    found = cost(
        request,
        Amount(
            n_sources=n_sources,
            n_targets=n_targets + request.behaviour,
            n_measured=min(n_sources, request.n_measured),
            n_prompts=(n_positive + 1) // 2,
            n_negatives=0,
            tokens=tokens,
            screen=request.screen,
            n_blocks=blocks_run(request.sources, request.source_dictionary, facts, lab.settings),
            are_latents=request.source_dictionary is not None,
        ),
        facts,
        lab.settings,
    )
    return as_plan(
        request,
        in_words(found, request.model.id),
        found.model_dump(mode="json", exclude_none=True),
        lab.settings,
        prompts=prompts,
        dictionaries=[*whole, *named((*request.sources, *request.targets))],
        advisories=found.advisories,
    )


def opened(
    request: PathRequest, units: Sequence[UnitRef], whole: Sequence[str], settings: Settings
) -> tuple[PromptSet, ModelFacts | None, float]:
    """Return the prompts, the facts of a model that is on this machine, and mean tokens, after checks without a model.

    Raises:
        LabError: whatever is wrong with prompts, dictionaries, addresses or model.
    """
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    dictionaries = dictionary_configs([*whole, *named(units)], settings)
    source = locate(request.model, settings)
    if source is None:
        if settings.offline:
            raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
        return prompts, None, sum(map(len, prompts.texts())) / TOKEN_CHARACTERS / max(1, len(prompts.prompts))
    facts = preflight(
        source.directory,
        addresses=tuple(dict.fromkeys(unit.address for unit in units if unit.address is not None)),
        prompts=dict(zip(prompts.ids(), prompts.texts(), strict=True)),
        allow_remote_code=settings.trust_remote_code,
        words=(*request.target_tokens, *request.alternative_tokens),
    )
    for dictionary in dictionaries:
        addresses_read(dictionary, facts)
    return prompts, facts, mean_tokens(source.directory, prompts.texts())


def blocks_run(sources: Sequence[UnitRef], dictionary: str | None, facts: ModelFacts | None, settings: Settings) -> int:
    """Return how many blocks run again when the sources, all of one place, are edited; 0 where the model is unknown."""
    name = dictionary if dictionary is not None or not sources else sources[0].dictionary
    if facts is None:
        return 0
    if name is None:
        return blocks_after(sources[0].address if sources else None, facts.n_layers)
    (config,) = dictionary_configs([name], settings)
    return blocks_after(addresses_read(config, facts)[0], facts.n_layers)


def named(units: Sequence[UnitRef]) -> list[str]:
    """Return the dictionaries that units are latents of."""
    return list(dict.fromkeys(unit.dictionary for unit in units if unit.dictionary is not None))


def as_plan(
    request: PathRequest,
    summary: str,
    details: Mapping[str, JsonValue],
    settings: Settings,
    *,
    prompts: PromptSet,
    dictionaries: Sequence[str],
    advisories: Sequence[str],
) -> Plan:
    """Return the plan of a run over paths."""
    return Plan(
        summary=summary,
        details=details,
        label=f"paths of {request.criterion[:80]} in {request.model.id}",
        slot=slot_for(request.model.device, settings),
        inputs={
            "prompts": prompts.sha256,
            "model": fingerprint(request.model, settings),
            **{f"dictionary {name}": dictionary_stamp(name, settings) for name in dict.fromkeys(dictionaries)},
        },
        warnings=tuple(advisories),
    )


def _handle(request: TracePathsRequest, run: Run) -> PathsResult:
    from interp_lab.workflows.trace_paths import trace_paths  # lazy: imports torch, and only the worker may
    from interp_lab.workflows.tracing.context import Suggest  # lazy: likewise

    after = Suggest(
        after=lambda report, artifact: suggest(request, report, artifact),
        path=lambda c: next_for(request, c),
        paths=lambda cards: next_of(request, cards),
    )
    return trace_paths(request, run, settings=Settings.from_env(), suggest=after)


def _plan_shards(request: TracePathsRequest, run: PartRun, stage: int) -> Sequence[JsonValue]:
    from interp_lab.workflows import trace_paths_sharded as sharded  # lazy: imports torch, and only the worker may

    return sharded.plan(request, run, stage, settings=Settings.from_env())


def _run_shard(request: TracePathsRequest, run: PartRun, payload: JsonValue) -> None:
    from interp_lab.workflows import trace_paths_sharded as sharded  # lazy: imports torch, and only the worker may

    sharded.run_shard(request, run, payload, settings=Settings.from_env())


def gather(request: PathRequest, run: PartRun, outputs: Sequence[Path]) -> None:
    """Put what the shards of a run over paths made where it reads it."""
    del request
    from interp_lab.workflows.tracing import sharded  # lazy: imports torch, and only the worker may

    sharded.gather(run, outputs)


def suggest(request: TracePathsRequest, report: PathReport, artifact: str) -> tuple[NextAction, ...]:
    """Return the call that reruns the candidates on held-out prompts, ready to be made."""
    if isinstance(request.dataset, InlinePrompts) or not any(card.status == "candidate" for card in report.paths):
        return ()  # inline prompts would have to be repeated in every action
    arguments = request.model_dump(
        mode="json", exclude_defaults=True, include=set(COMMON), exclude={*RUN_CONTROLS, "hold_units"}
    )
    ranks: list[JsonValue] = [rank for rank, card in enumerate(report.paths, start=1) if card.status == "candidate"]
    call = {**arguments, "trace": artifact, "ranks": ranks, "dry_run": False}
    return (NextAction(tool="validate_paths", arguments=call, why="Rerun exactly these paths on held-out prompts."),)


TRACE_PATHS = JobCapability(
    name="trace_paths",
    title="Trace what units at one address do to later units",
    guidance=(
        "How latents act on each other inside a model. Give sources at one address (units, or a whole dictionary) and"
        " targets at later ones (units, dictionaries, and the behaviour, called output). Every source is scaled by "
        "multiples of its own value and each target's exact change is split: what the residual stream merely passes "
        "along (two directions that overlap) and what the blocks in between mediate. With hold or hold_units also the"
        " direct effect. Among many sources exact effects of all choose; where that costs too much a gradient, with "
        "its error and the share it is expected to find. Random sources run beside. Uses explore prompts only, so "
        "nothing is validated: call validate_paths with the artifact. Without dry_run=false it only plans. Runs as a "
        "job: if state is not final, call job_wait. The artifact has report.md, report.html, report.json, graph.json "
        "and paths.jsonl."
    ),
    request=TracePathsRequest,
    result=PathsResult,
    plan=_plan,
    handler=_handle,
    sharding=Sharding(count=lambda request: request.shards, plan=_plan_shards, shard=_run_shard, gather=gather),
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="circuits",
    changes="Grades of paths, below validated; which pairs are worth a rerun.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
        "sources": [{"address": "resid_post.1", "index": 5}, {"address": "resid_post.1", "index": 9}],
        "targets": [{"address": "resid_post.3", "index": 7}],
    },
)
