"""patch_activations: where a model carries what tells two prompts apart; a dry run unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.patch_activations import PatchPlan, PatchRequest, PatchResult
from interp_lab.contracts.patch_report import PatchReport
from interp_lab.contracts.prompts import BuiltinDataset, InlinePrompts, PromptSource
from interp_lab.corpus.catalogue import load_preset
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable
from interp_lab.models.facts import ModelFacts
from interp_lab.models.file_tokenizer import token_ids
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import planned_seconds
from interp_lab.workflows.patching.cost import KIND, n_cells, n_patched, work_of
from interp_lab.workflows.patching.line_up import LinedUp, line_up
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_SAME = ("model", "criterion", "dataset", "threshold", "seed", "targets", "alternatives")
"""Fields that an intervention on what was found shares."""


def _plan(request: PatchRequest, lab: Lab) -> Plan:
    prompts = open_prompts(request.dataset, lab.settings)
    refuse_one_sided(prompts, request.threshold)
    facts, ids = _model(request, prompts, lab.settings)
    pairs = line_up(request, prompts, ids)
    cells = n_cells(request, facts, pairs.n_columns)
    passes, n_pairs = n_patched(request, cells, pairs.n_pairs), pairs.n_pairs
    seconds, source = (None, None)
    if facts is not None:
        seconds, source = planned_seconds(work_of(request, facts, pairs), request.model, lab.settings, kind=KIND)
    plan = PatchPlan(
        n_pairs=n_pairs,
        n_cells=cells,
        n_passes=passes,
        seconds=seconds,
        seconds_source=source,
        controls=(f"{request.n_controls} random changes of the same tokens by the same length, per place and pair",),
        advisories=tuple(_advisories(request, pairs)),
    )
    time = "" if seconds is None else f", about {seconds:g} s"
    return Plan(
        summary=f"At most {n_pairs} pairs, about {cells} places each, {' and '.join(request.ways)}: at most {passes} "
        f"patched runs{time}.",
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"patching for {request.criterion[:80]} in {request.model.id}",
        slot=slot_for(request.model.device, lab.settings),
        inputs={"prompts": prompts.sha256, "model": fingerprint(request.model, lab.settings)},
        warnings=plan.advisories,
    )


def _advisories(request: PatchRequest, pairs: LinedUp) -> Iterator[str]:
    if pairs.left_out:
        told = ", ".join(f"{n} ({name})" for name, n in pairs.left_out.items())
        yield f"Pairs that cannot be patched are left out: {told}."
    if not request.targets:
        yield "Target words will be chosen from explore pairs, and listed."


def _model(
    request: PatchRequest, prompts: PromptSet, settings: Settings
) -> tuple[ModelFacts | None, list[list[int]] | None]:
    """What files say of the model, and the tokens of the prompts; nothing where it is not on this machine yet."""
    source = locate(request.model, settings)
    if source is None:
        if settings.offline:
            raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
        return None, None
    facts = preflight(
        source.directory,
        prompts=dict(zip(prompts.ids(), prompts.texts(), strict=True)),
        allow_remote_code=settings.trust_remote_code,
        words=(*request.targets, *request.alternatives),
    )
    return facts, token_ids(source.directory, prompts.texts())


def _handle(request: PatchRequest, run: Run) -> PatchResult:
    from interp_lab.workflows.patch_activations import patch_activations  # lazy: imports torch, only the worker may

    return patch_activations(
        request, run, settings=Settings.from_env(), suggest=lambda report: suggest(request, report)
    )


def suggest(request: PatchRequest, report: PatchReport) -> tuple[NextAction, ...]:
    """Return the calls that would settle what the report leaves open, ready to be made."""
    if isinstance(request.dataset, InlinePrompts):
        return ()  # the prompts would have to be repeated in every action
    same: dict[str, JsonValue] = request.model_dump(
        mode="json", exclude_defaults=True, include=set(_SAME), exclude=set(RUN_CONTROLS)
    ) | _pooling(request.dataset)
    heads = {(c.layer, int(c.column)) for c in report.cells if c.component == "heads" and c.status == "carries"}
    if heads:
        units: list[JsonValue] = [{"address": f"z.{layer}", "head": number} for layer, number in sorted(heads)[:4]]
        call: dict[str, JsonValue] = {**same, "units": units, "edits": ["ablate_mean"], "dry_run": False}
        why = "What the heads that carry it do on all prompts, with other heads and negatives beside."
        return (NextAction(tool="intervene", arguments=call, why=why),)
    if "heads" not in request.components:
        why = "Which heads carry it?"
        call = {**same, "components": ["heads"], "dry_run": False}
        call.pop("pooling", None)  # patching pools nothing
        return (NextAction(tool="patch_activations", arguments=call, why=why),)
    if report.flags:
        why = "The words do not tell the two sides apart; what does an inspection find?"
        kept = {
            name: same[name]
            for name in ("model", "criterion", "dataset", "pooling", "threshold", "seed")
            if name in same
        }
        return (NextAction(tool="inspect", arguments=kept, why=why),)
    asked = {"model": request.model.id, "criterion": request.criterion}
    return (NextAction(tool="dossier", arguments=dict(asked), why="See this map beside what other runs found."),)


def _pooling(dataset: PromptSource) -> dict[str, JsonValue]:
    """How a set in the box is pooled, for calls that pool its tokens; other sets do not say."""
    return {"pooling": load_preset(dataset.name).pooling} if isinstance(dataset, BuiltinDataset) else {}


PATCH_ACTIVATIONS = JobCapability(
    name="patch_activations",
    title="Map where a model carries what tells two prompts apart",
    guidance=(
        "Activation patching between the clean and the corrupt prompt of pairs: the residual stream, attention and "
        "MLP by layer and token, and every head, as denoising (what suffices) and noising (what is needed). A share "
        "of 1 means that this patch alone gives the other prompt's behaviour. Explore pairs make the maps; the "
        "strongest places are run again on held-out pairs beside random changes of the same length. Pairs must have "
        "as many tokens; the others are left out and counted. It shows where, not what: go on with intervene on the "
        "heads or latents there. Without dry_run=false it only plans. Runs as a job: if state is not final, call "
        "job_wait. The artifact has report.md, report.html with the heat maps, report.json."
    ),
    request=PatchRequest,
    result=PatchResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="circuits",
    changes="No grade of a unit; where an edit is worth trying.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the review is positive",
        "dataset": "builtin:positive-sentiment",
    },
)
