"""score_prompts: what a local model for natural language inference says of labelled prompts; never a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.contracts.score_prompts import ScorePromptsPlan, ScorePromptsRequest, ScorePromptsResult
from interp_lab.corpus.prompt_set import refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.models.reference import fingerprint
from interp_lab.models.text_files import entailment_label, local_source
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: ScorePromptsRequest, lab: Lab) -> Plan:
    prompts = open_prompts(request.dataset, lab.settings)
    refuse_one_sided(prompts, request.threshold)
    source = local_source(request.model, lab.settings)
    _, label = entailment_label(source.directory, request.entailment_label)
    plan = ScorePromptsPlan(
        n_prompts=len(prompts.prompts),
        hypothesis=request.sentence(),
        entailment_label=label,
    )
    return Plan(
        summary=f"{plan.n_prompts} prompts, each asked whether it entails {plan.hypothesis[:200]!r} ({label}).",
        details=plan.model_dump(mode="json"),
        label=f"model scores of {prompts.name}"[:200],
        slot=slot_for(request.model.device, lab.settings),
        inputs={"prompts": prompts.sha256, "model": fingerprint(request.model, lab.settings)},
    )


def _handle(request: ScorePromptsRequest, run: Run) -> ScorePromptsResult:
    from interp_lab.workflows.score_prompts import score_prompts  # lazy: imports torch, only the worker may

    return score_prompts(request, run, settings=Settings.from_env())


SCORE_PROMPTS = JobCapability(
    name="score_prompts",
    title="Let a local inference model read the labels of prompts",
    guidance=(
        "Optional, where the operator has a classifier for natural language inference on this machine. Asks it of "
        "every prompt whether it entails the criterion, and lists rows whose label it does not share, to be read "
        "again. Use it on prompts that you or another model wrote. It is a model score: no label, no evidence, and "
        "no part of any grade; it does not say that a model represents the criterion. The classifier is never fetched."
    ),
    request=ScorePromptsRequest,
    result=ScorePromptsResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="evidence",
    changes="No grade; the prompts get labels, marked as a model's.",
    example={"model": "models/nli", "dataset": "builtin:question", "criterion": "the speaker asks a question"},
)
