"""patch_activations: where a model carries what tells two prompts apart; a dry run unless told otherwise."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.patch_activations import PatchPlan, PatchRequest, PatchResult
from interp_lab.contracts.patch_report import PatchReport
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable, ImpossibleEdit
from interp_lab.models.facts import ModelFacts
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.patching.cost import n_cells, seconds_of
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
    n_pairs = min(_pairs(prompts, request.threshold), 2 * request.max_pairs)
    facts = _facts(request, prompts, lab.settings)
    characters = sum(map(len, prompts.texts())) // len(prompts.prompts)
    cells = n_cells(request, facts, characters)
    explore, confirm = (n_pairs + 1) // 2, n_pairs // 2
    passes = len(request.ways) * (explore * cells + confirm * min(cells, request.top_k) * (1 + request.n_controls))
    seconds, source = (
        (None, None)
        if facts is None
        else seconds_of(request, facts, passes, characters=characters, settings=lab.settings)
    )
    plan = PatchPlan(
        n_pairs=n_pairs,
        n_cells=cells,
        n_passes=passes,
        seconds=seconds,
        seconds_source=source,
        controls=(f"{request.n_controls} random changes of the same tokens by the same length, per place and pair",),
        advisories=() if request.targets else ("Target words will be chosen from explore pairs, and listed.",),
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


def _pairs(prompts: PromptSet, threshold: float) -> int:
    """Return how many pairs there are, whatever their tokens."""
    sides: dict[str, Counter[bool]] = {}
    for prompt, positive in zip(prompts.prompts, prompts.positive(threshold), strict=True):
        if prompt.pair is not None:
            sides.setdefault(prompt.pair, Counter())[positive] += 1
    found = sum(counted == {True: 1, False: 1} for counted in sides.values())
    if not found:
        raise ImpossibleEdit(
            "No two prompts are a pair of one clean and one corrupt prompt.",
            remedy="Give prompts with 'pair', one at or above the threshold and one below, or use intervene.",
        )
    return found


def _facts(request: PatchRequest, prompts: PromptSet, settings: Settings) -> ModelFacts | None:
    source = locate(request.model, settings)
    if source is None:
        if settings.offline:
            raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
        return None
    texts = dict(zip(prompts.ids(), prompts.texts(), strict=True))
    return preflight(source.directory, prompts=texts, allow_remote_code=settings.trust_remote_code)


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
    )
    heads = {(c.layer, int(c.column)) for c in report.cells if c.component == "heads" and c.status == "carries"}
    if heads:
        units: list[JsonValue] = [{"address": f"z.{layer}", "head": number} for layer, number in sorted(heads)[:4]]
        call: dict[str, JsonValue] = {**same, "units": units, "edits": ["ablate_mean"], "dry_run": False}
        why = "What the heads that carry it do on all prompts, with other heads and negatives beside."
        return (NextAction(tool="intervene", arguments=call, why=why),)
    if "heads" not in request.components:
        why = "Which heads carry it?"
        call = {**same, "components": ["heads"], "dry_run": False}
        return (NextAction(tool="patch_activations", arguments=call, why=why),)
    if report.flags:
        why = "The words do not tell the two sides apart; what does an inspection find?"
        kept = {name: same[name] for name in ("model", "criterion", "dataset", "threshold", "seed") if name in same}
        return (NextAction(tool="inspect", arguments=kept, why=why),)
    return ()


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
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the review is positive",
        "dataset": "builtin:positive-sentiment",
    },
)
