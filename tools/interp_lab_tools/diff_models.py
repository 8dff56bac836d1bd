"""diff_models: what changed between a model and a fine-tuned, quantised or edited version of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.diff_models import DiffModelsPlan, DiffModelsRequest, DiffModelsResult, ModelDiffReport
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.prompt_set import refuse_one_sided, refuse_without_spans
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab.workflows.diffing.validated import validated_units
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: DiffModelsRequest, lab: Lab) -> Plan:
    settings = lab.settings
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    if request.pooling == "span":
        refuse_without_spans(prompts)
    known = validated_units(request, prompts.sha256, settings)
    dictionaries = dictionary_configs(request.dictionaries, settings)
    for model in (request.base, request.changed):
        source = locate(model, settings)
        if source is None and settings.offline:
            raise HubUnreachable(f"{model.id} is not on this machine and the operator keeps it offline.")
        if source is not None:
            texts = dict(zip(prompts.ids(), prompts.texts(), strict=True))
            facts = preflight(
                source.directory,
                addresses=request.addresses,
                prompts=texts,
                allow_remote_code=settings.trust_remote_code,
            )
            for dictionary in dictionaries:
                addresses_read(dictionary, facts)
    named = (*request.dictionaries, *((request.crosscoder,) if request.crosscoder else ()))
    plan = DiffModelsPlan(n_prompts=len(prompts.prompts), n_units_at_most=2 * request.n_units + len(known))
    return Plan(
        summary=(
            f"{plan.n_prompts} prompts through {request.base.id} and {request.changed.id}; weights, activations and at "
            f"most {plan.n_units_at_most} units."
        ),
        details=plan.model_dump(mode="json"),
        label=f"{request.base.id} and {request.changed.id}"[:200],
        slot=slot_for(request.base.device, settings),
        inputs={
            "prompts": prompts.sha256,
            "base": fingerprint(request.base, settings),
            "changed": fingerprint(request.changed, settings),
            **{f"dictionary {name}": dictionary_stamp(name, settings) for name in dict.fromkeys(named)},
        },
    )


def _handle(request: DiffModelsRequest, run: Run) -> DiffModelsResult:
    from interp_lab.workflows.diff_models import diff_models  # lazy: the workflow imports torch

    def suggest(report: ModelDiffReport) -> tuple[NextAction, ...]:
        return tuple(suggest_next(request, report))

    return diff_models(request, run, settings=Settings.from_env(), suggest=suggest)


def suggest_next(request: DiffModelsRequest, report: ModelDiffReport) -> Iterator[NextAction]:
    """Offer the intervention that says whether the most changed coordinate still does something."""
    changed = next((unit for unit in report.units if unit.verdict not in ("kept", "unclear")), None)
    if changed is None or "/" in changed.address or isinstance(request.dataset, InlinePrompts):
        return
    said = cast("dict[str, JsonValue]", request.model_dump(mode="json"))
    shared = {key: said[key] for key in ("criterion", "dataset", "pooling", "threshold", "seed")}
    for name in ("base", "changed"):
        units: list[JsonValue] = [{"address": changed.address, "index": changed.index}]
        yield NextAction(
            tool="intervene",
            arguments={"model": said[name], "units": units, "dry_run": True, **shared},
            why=f"Measures what {changed.address} #{changed.index}, {changed.verdict}, does in the {name} model.",
        )


DIFF_MODELS = JobCapability(
    name="diff_models",
    title="Find what changed between two versions of a model",
    guidance=(
        "Give a model and its fine-tuned, edited or quantised version (another dtype of the same model), and scored "
        "prompts. Says which weights differ and the rank of the difference; how far activations shift and along how "
        "many directions; which units that follow the criterion were kept, weakened, lost, strengthened or are new, on "
        "confirm prompts with simultaneous intervals (with a report of intervene, its validated units too); with a "
        "crosscoder of both, which exclusive latents are artefacts (complete shrinkage, latent decoupling). For models "
        "of different shape call compare. Associations only. Runs as a job: call job_wait until it has ended."
    ),
    request=DiffModelsRequest,
    result=DiffModelsResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, open_world=True),
    toolset="evidence",
    example={
        "base": "builtin:pocket-llama",
        "changed": {"id": "builtin:pocket-llama", "dtype": "bfloat16"},
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
    },
)
