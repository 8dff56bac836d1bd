"""make_steering_vector: a direction with its evidence, for this lab and for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.artifacts.paths import resolve_input
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.contracts.steering_vector import (
    ContrastSource,
    LatentSource,
    MakeSteeringVectorRequest,
    MakeSteeringVectorResult,
    ReportSource,
    SteeringVectorPlan,
)
from interp_lab.corpus.prompt_set import refuse_one_sided, refuse_without_spans
from interp_lab.corpus.sources import open_prompts
from interp_lab.models.facts import ModelFacts
from interp_lab.models.reference import fingerprint
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import dictionary_configs, dictionary_stamp
from interp_lab.workflows.intervening.cost import cost_in_words, peak_bytes, planned_seconds
from interp_lab.workflows.intervening.sources import learned_row
from interp_lab.workflows.steering.cost import VECTOR, vector_work
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.corpus.prompt_set import PromptSet
    from interp_lab.jobs.run import Run


def _plan(request: MakeSteeringVectorRequest, lab: Lab) -> Plan:
    from interp_lab.workflows.steering.checks import checked_model  # lazy: numpy is not needed to list tools

    settings, source = lab.settings, request.source
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    if request.pooling == "span":
        refuse_without_spans(prompts)
    addresses, read = _source(request, prompts, settings)
    inputs = {"prompts": prompts.sha256, "model": fingerprint(request.model, settings), **read}
    if request.steered:
        inputs["steered"] = request.steered
    wanted = source.addresses if isinstance(source, ContrastSource) else ()
    model = checked_model(request.model, prompts, settings, addresses=wanted)
    plan = SteeringVectorPlan(addresses=addresses, n_prompts=len(prompts.prompts), n_passes=2 * len(prompts.prompts))
    if model is not None:
        work = vector_work(model.facts, model.lengths, _read_at(addresses, request, model.facts))
        seconds, told = planned_seconds(work, request.model, settings, kind=VECTOR)
        peak = peak_bytes(model.facts)
        plan = plan.model_copy(update={"seconds": seconds, "seconds_source": told, "peak_bytes": peak})
    where = ", ".join(addresses) or ("every layer but the last" if source.kind == "contrast" else "where it writes")
    return Plan(
        summary=f"A {source.kind} direction at {where}, from {plan.n_prompts} prompts in about {plan.n_passes} passes"
        f"{cost_in_words(plan.seconds, plan.peak_bytes)}.",
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"direction of {request.criterion[:80]}",
        slot=slot_for(request.model.device, settings),
        inputs=inputs,
    )


def _source(
    request: MakeSteeringVectorRequest, prompts: PromptSet, settings: Settings
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return where the direction is looked for, as far as files tell, and what is read for it."""
    source = request.source
    if isinstance(source, ContrastSource):
        return tuple(map(str, source.addresses)), {}
    if isinstance(source, LatentSource):
        (config,) = dictionary_configs([source.dictionary], settings)
        stamp = {f"dictionary {source.dictionary}": dictionary_stamp(source.dictionary, settings)}
        return tuple(filter(None, (config.address_out,))), stamp
    if isinstance(source, ReportSource):
        found = learned_row(source.report, source.rank, request, prompts=prompts, settings=settings)
        return (found.kept.record.address,), {"report": source.report}
    path = resolve_input(settings.workspace, source.path, read_roots=settings.read_roots, kind="file")
    status = path.stat()
    stamp = {"file": f"{path.name} {status.st_size} {status.st_mtime_ns}"}
    return (() if source.layer is None else (f"resid_post.{source.layer}",)), stamp


def _read_at(addresses: tuple[str, ...], request: MakeSteeringVectorRequest, facts: ModelFacts) -> list[Address]:
    """Return the places that are read; of a contrast that names none, every block but the last."""
    if not addresses and request.source.kind == "contrast":
        return [Address("resid_post", max(0, facts.n_layers - 2))]
    return [Address.parse(each) for each in addresses]


def _handle(request: MakeSteeringVectorRequest, run: Run) -> MakeSteeringVectorResult:
    from interp_lab.workflows.make_steering_vector import make_steering_vector  # lazy: the workflow imports torch

    return make_steering_vector(
        request, run, settings=Settings.from_env(), suggest=lambda artifact: suggest(request, artifact)
    )


def suggest(request: MakeSteeringVectorRequest, artifact: str) -> tuple[NextAction, ...]:
    """Return the calls that would show whether the model moves with the direction."""
    if isinstance(request.dataset, InlinePrompts):
        return ()  # the prompts would have to be repeated in every action
    kept = {"model", "criterion", "dataset", "threshold", "seed"}
    same: dict[str, JsonValue] = request.model_dump(mode="json", exclude_defaults=True, include=kept)
    why = "Whether text shows the criterion with it, beyond random directions of the same length and an instruction."
    found = [NextAction(tool="steer", arguments={**same, "vector": artifact}, why=why)]
    if isinstance(request.source, LatentSource):
        unit: JsonValue = {"dictionary": request.source.dictionary, "index": request.source.index}
        why = "Edit the latent itself beside controls: what it does, not only what adding its direction does."
        found.append(NextAction(tool="intervene", arguments={**same, "units": [unit]}, why=why))
    if isinstance(request.source, ReportSource):
        row: dict[str, JsonValue] = {"report": request.source.report, "ranks": [request.source.rank]}
        pooled = request.model_dump(mode="json", include={"pooling"})
        why = "Edit the direction beside controls: what it does to the next word, before any text is written."
        found.append(NextAction(tool="intervene", arguments={**same, **pooled, **row}, why=why))
    return tuple(found)


MAKE_STEERING_VECTOR = JobCapability(
    name="make_steering_vector",
    title="Make a steering vector with its evidence",
    guidance=(
        "From scored prompts (difference of means, contrastive PCA over pairs, a probe's direction), from a latent of "
        "a dictionary, from a row of an inspect report of directions, or from another tool's file. Only explore "
        "prompts make it; the others give its held-out AUROC. "
        "Association is no effect: the grade never says validated before a steer run of this very direction does "
        "(give that report as steered). The artifact, which steer and search_features read, has the numbers "
        "(safetensors), the record (JSON), a GGUF control vector for llama.cpp where strength 1 is one residual norm, "
        "and the steering-vector and activation-record files of interp-lab 3. Runs as a job: call job_wait, then steer."
    ),
    request=MakeSteeringVectorRequest,
    result=MakeSteeringVectorResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="steering",
    changes="The vector's grade, never validated by itself; steer can then test it.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
    },
)
