"""find_circuit: which edges between heads and MLPs carry a behaviour; a dry run unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.circuit_report import Ablation, CircuitReport
from interp_lab.contracts.find_circuit import CircuitResult, FindCircuitRequest
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.prompt_set import refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable
from interp_lab.models.file_tokenizer import mean_tokens
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.circuits.cost import in_words
from interp_lab.workflows.circuits.cost import plan as cost
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_OTHER: dict[Ablation, Ablation] = {"mean": "zero", "zero": "mean", "resample": "mean"}
_FINE = 0.002
"""Tolerance that keeps edges which a coarser one drops one by one."""


def _plan(request: FindCircuitRequest, lab: Lab) -> Plan:
    settings = lab.settings
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    source = locate(request.model, settings)
    if source is None and settings.offline:
        raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
    facts, tokens = None, 0.0
    if source is not None:
        tokens = mean_tokens(source.directory, prompts.texts())
        facts = preflight(
            source.directory,
            addresses=(),
            prompts=dict(zip(prompts.ids(), prompts.texts(), strict=True)),
            allow_remote_code=settings.trust_remote_code,
            words=(*request.target_tokens, *request.alternative_tokens),
        )
    found = cost(request, facts, settings, n_prompts=len(prompts.prompts), tokens=tokens)
    return Plan(
        summary=in_words(found, request.model.id),
        details=found.model_dump(mode="json", exclude_none=True),
        label=f"circuit of {request.criterion[:80]} in {request.model.id}",
        slot=slot_for(request.model.device, settings),
        inputs={"prompts": prompts.sha256, "model": fingerprint(request.model, settings)},
        warnings=found.advisories,
    )


def _handle(request: FindCircuitRequest, run: Run) -> CircuitResult:
    from interp_lab.workflows.find_circuit import find_circuit  # lazy: imports torch, and only the worker may

    return find_circuit(request, run, settings=Settings.from_env(), suggest=lambda report: suggest(request, report))


def suggest(request: FindCircuitRequest, report: CircuitReport) -> tuple[NextAction, ...]:
    """Return the calls that would tell more of the circuit, ready to be made."""
    if isinstance(request.dataset, InlinePrompts):
        return ()  # inline prompts would have to be repeated in every action
    same = request.model_dump(mode="json", exclude_defaults=True, exclude=set(RUN_CONTROLS)) | {"dry_run": False}
    other: dict[str, JsonValue] = {**same, "ablation": _OTHER[request.ablation]}
    actions = [NextAction(tool="find_circuit", arguments=other, why="See whether another ablation finds these edges.")]
    reasons = {reason.code for reason in report.reasons}
    if "not_faithful" in reasons and request.tolerance > _FINE:
        finer: dict[str, JsonValue] = {**same, "tolerance": _FINE}
        why = "A finer tolerance keeps edges that were cut one by one and add up."
        actions.insert(0, NextAction(tool="find_circuit", arguments=finer, why=why))
    return tuple(actions)


FIND_CIRCUIT = JobCapability(
    name="find_circuit",
    title="Find the edges between components that carry a behaviour",
    guidance=(
        "Which heads and MLPs carry a behaviour, and along which edges. Every edge (what one component sees of an "
        "earlier one) gets an integrated-gradients attribution; from the smallest up edges are cut by exact passes and "
        "stay cut if that costs at most tolerance. The ablation (zero, mean, resample) is yours to name and the answer "
        "depends on it. Found on explore prompts; faithfulness and completeness by size, with intervals, and random "
        "circuits of the same shape on held-out ones. A circuit says that its edges suffice under that ablation, not "
        "what they mean. Without dry_run=false it only plans. Runs as a job: if state is not final, call job_wait. The "
        "artifact has report.md, report.html and report.json."
    ),
    request=FindCircuitRequest,
    result=CircuitResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="circuits",
    changes="The circuit's grade, by faithfulness on held-out prompts.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
    },
)
