"""diff_models: what changed between a model and a fine-tuned, quantised or edited version of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.diff_models import (
    DiffModelsPlan,
    DiffModelsRequest,
    DiffModelsResult,
    ModelDiffReport,
    UnitChange,
)
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided, refuse_without_spans
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.models.weights import read_weights
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab.workflows.diffing.validated import validated_units
from interp_lab.workflows.diffing.versions import refuse_strangers
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_FULL = 4
"""Bytes of a weight in float32, in which 'auto' runs on a CPU."""
_WIDTHS = {"bfloat16": 2, "float16": 2}


def _plan(request: DiffModelsRequest, lab: Lab) -> Plan:
    settings = lab.settings
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    if request.pooling == "span":
        refuse_without_spans(prompts)
    known = validated_units(request, prompts.sha256, settings)
    folders = [_check(model, request, prompts, settings) for model in (request.base, request.changed)]
    named = (*request.dictionaries, *((request.crosscoder,) if request.crosscoder else ()))
    plan = _cost(folders, request, n_prompts=len(prompts.prompts), n_known=len(known))
    return Plan(
        summary=(
            f"{plan.n_prompts} prompts through {request.base.id} and {request.changed.id}; weights, activations and at "
            f"most {plan.n_units_at_most} units{_memory(plan)}."
        ),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{request.base.id} and {request.changed.id}"[:200],
        slot=slot_for(request.base.device, settings),
        inputs={
            "prompts": prompts.sha256,
            "base": fingerprint(request.base, settings),
            "changed": fingerprint(request.changed, settings),
            **{f"dictionary {name}": dictionary_stamp(name, settings) for name in dict.fromkeys(named)},
        },
    )


def _check(model: ModelRef, request: DiffModelsRequest, prompts: PromptSet, settings: Settings) -> Path | None:
    """Return the folder of a model, if it is on this machine, after every check that needs no model in memory."""
    source = locate(model, settings)
    if source is None and settings.offline:
        raise HubUnreachable(f"{model.id} is not on this machine and the operator keeps it offline.")
    if source is None:
        return None
    texts = dict(zip(prompts.ids(), prompts.texts(), strict=True))
    facts = preflight(
        source.directory, addresses=request.addresses, prompts=texts, allow_remote_code=settings.trust_remote_code
    )
    for dictionary in dictionary_configs(request.dictionaries, settings):
        addresses_read(dictionary, facts)
    return source.directory


def _cost(folders: list[Path | None], request: DiffModelsRequest, *, n_prompts: int, n_known: int) -> DiffModelsPlan:
    """Return what it would do and cost; refuses models that are no versions of each other."""
    plan = DiffModelsPlan(n_prompts=n_prompts, n_units_at_most=2 * request.n_units + n_known)
    base, changed = folders
    if base is None or changed is None:
        return plan
    sizes = [read_weights(folder).n_parameters for folder in (base, changed)]
    widths = [_WIDTHS.get(model.dtype, _FULL) for model in (request.base, request.changed)]
    return plan.model_copy(
        update={
            "n_parameters": sum(sizes),
            "n_bytes": sum(size * width for size, width in zip(sizes, widths, strict=True)),
            "stored": refuse_strangers(base, changed),
        }
    )


def _memory(plan: DiffModelsPlan) -> str:
    return "" if plan.n_bytes is None else f"; both models in memory at once, {plan.n_bytes / 2**20:.0f} MiB"


def _handle(request: DiffModelsRequest, run: Run) -> DiffModelsResult:
    from interp_lab.workflows.diff_models import diff_models  # lazy: the workflow imports torch

    def suggest(report: ModelDiffReport) -> tuple[NextAction, ...]:
        return tuple(suggest_next(request, report))

    return diff_models(request, run, settings=Settings.from_env(), suggest=suggest)


def suggest_next(request: DiffModelsRequest, report: ModelDiffReport) -> Iterator[NextAction]:
    """Offer the intervention that says whether the most changed coordinate, else one that was kept, does something."""
    unit = _to_edit(report)
    if unit is None or isinstance(request.dataset, InlinePrompts):
        known: dict[str, JsonValue] = {"model": request.base.id, "criterion": request.criterion}
        why = (
            "No coordinate was judged clearly enough to edit it"
            if unit is None
            else "Inline prompts are not sent again"
        )
        yield NextAction(
            tool="dossier", arguments=known, why=f"{why}; see what is known of the criterion in the base model."
        )
        return
    said = cast("dict[str, JsonValue]", request.model_dump(mode="json"))
    shared = {key: said[key] for key in ("criterion", "dataset", "pooling", "threshold", "seed")}
    # weights that were rounded here are no model that another call could load
    for name in ("base", "changed") if request.quantise is None else ("base",):
        units: list[JsonValue] = [{"address": unit.address, "index": unit.index}]
        yield NextAction(
            tool="intervene",
            arguments={"model": said[name], "units": units, "dry_run": True, **shared},
            why=f"Measures what {unit.address} #{unit.index}, {unit.verdict} by association, does in the {name} model.",
        )


def _to_edit(report: ModelDiffReport) -> UnitChange | None:
    """Return the most changed coordinate, else the one that was kept with the strongest association."""
    judged = [unit for unit in report.units if unit.verdict != "unclear" and "/" not in unit.address]
    changed = next((unit for unit in judged if unit.verdict != "kept"), None)
    return changed or max(judged, key=lambda unit: abs(unit.base_auroc - 0.5), default=None)


DIFF_MODELS = JobCapability(
    name="diff_models",
    title="Find what changed between two versions of a model",
    guidance=(
        "Give a model and its fine-tuned, edited or quantised version (another dtype of the same model, or quantise to "
        "8-bit weights), and scored prompts. Says which weights differ and the rank of the difference; how far "
        "activations shift and along how many directions; which units that follow the criterion were kept, weakened, "
        "lost, strengthened or are new, on "
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
    changes="Which units count as kept, weakened, lost or new; no grade of a criterion.",
    example={
        "base": "builtin:pocket-llama",
        "changed": {"id": "builtin:pocket-llama", "dtype": "bfloat16"},
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
    },
)
