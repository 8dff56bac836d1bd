"""validate_paths: claimed paths rerun on prompts that had no part in finding them; a dry run unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.trace_paths import PathsResult
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.jobs.parts.sharding import Sharding
from interp_lab.settings import Settings
from interp_lab.workflows.tracing.claims import as_traced, ends_of, find_claims
from interp_lab.workflows.tracing.cost import Amount, in_words
from interp_lab.workflows.tracing.cost import plan as cost
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.path_calls import next_for, next_of
from interp_lab_tools.slots import slot_for
from interp_lab_tools.trace_paths import as_plan, blocks_run, gather, named, opened

if TYPE_CHECKING:
    from interp_lab.jobs.parts.partrun import PartRun
    from interp_lab.jobs.run import Run


def _plan(request: ValidatePathsRequest, lab: Lab) -> Plan:
    claims = find_claims(request, lab.settings)
    request = as_traced(request, claims.report)
    sources, targets = ends_of(claims.claims)
    prompts, facts, tokens = opened(request, (*sources, *targets, *request.hold_units), (), lab.settings)
    n_positive = sum(prompts.positive(request.threshold))
    same = claims.report is None or claims.report.dataset.sha256 == prompts.sha256
    twice = 2 if (same and claims.report is not None) or claims.imported else 1
    found = cost(
        request,
        Amount(
            n_sources=len(sources),
            n_targets=len(targets) + request.behaviour,
            n_measured=len(sources),
            n_prompts=-(-n_positive // twice),
            n_negatives=-(-(len(prompts.prompts) - n_positive) // twice),
            tokens=tokens,
            screen=None,
            n_blocks=blocks_run(sources, None, facts, lab.settings),
        ),
        facts,
        lab.settings,
    )
    details: dict[str, JsonValue] = found.model_dump(mode="json", exclude_none=True)
    details["paths"] = [claim.key for claim in claims.claims]
    dictionaries = named((*sources, *targets))
    planned = as_plan(request, in_words(found, request.model.id), details, lab.settings, prompts=prompts,
                      dictionaries=dictionaries, advisories=found.advisories)  # fmt: skip
    trace = {"trace": request.trace} if request.trace else {}
    return Plan(
        summary=f"{len(claims.claims)} claimed paths. {planned.summary}",
        details=planned.details,
        label=planned.label,
        slot=slot_for(request.model.device, lab.settings),
        inputs={**planned.inputs, **trace},
        warnings=planned.warnings,
    )


def _handle(request: ValidatePathsRequest, run: Run) -> PathsResult:
    from interp_lab.workflows.tracing.context import Suggest  # lazy: imports torch, and only the worker may
    from interp_lab.workflows.validate_paths import validate_paths  # lazy: likewise

    settings = Settings.from_env()
    measured = as_traced(request, find_claims(request, settings).report)
    told = Suggest(path=lambda card: next_for(measured, card), paths=lambda cards: next_of(measured, cards))
    return validate_paths(request, run, settings=settings, suggest=told)


def _plan_shards(request: ValidatePathsRequest, run: PartRun, stage: int) -> Sequence[JsonValue]:
    from interp_lab.workflows import validate_paths_sharded as sharded  # lazy: imports torch, and only the worker may

    return sharded.plan(request, run, stage)


def _run_shard(request: ValidatePathsRequest, run: PartRun, payload: JsonValue) -> None:
    from interp_lab.workflows import validate_paths_sharded as sharded  # lazy: imports torch, and only the worker may

    sharded.run_shard(request, run, payload, settings=Settings.from_env())


VALIDATE_PATHS = JobCapability(
    name="validate_paths",
    title="Rerun claimed paths on held-out prompts and grade each",
    guidance=(
        "The step from a candidate path to evidence. Give the artifact of a trace_paths run with the same model, "
        "prompts and seed (or other prompts), or pairs 'SOURCE=TARGET', or path-record JSON lines. Reruns exactly "
        "these pairs on prompts that had no part in finding them, beside random sources; prompts that were used are "
        "refused. Each path gets a status, a grade with reason codes, an interval over prompt groups, q over every "
        "pair that was searched, sign consistency, its effect on negatives, and a next call. Validated means: the "
        "blocks between the two units turn a change of the one into a change of the other, more than random sources "
        "of its size do, on these prompts. The artifact has report.md, report.html, report.json, graph.json (edges "
        "with their validation) and paths.jsonl."
    ),
    request=ValidatePathsRequest,
    result=PathsResult,
    plan=_plan,
    handler=_handle,
    sharding=Sharding(count=lambda request: request.shards, plan=_plan_shards, shard=_run_shard, gather=gather),
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="circuits",
    changes="Grades of paths: validated or contradicted on held-out prompts.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
        "pairs": ["resid_post.1#5=resid_post.3#7", "resid_post.1#5=output"],
    },
)
