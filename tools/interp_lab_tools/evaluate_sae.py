"""evaluate_sae: how good one dictionary is, on activations, in its model, on known truth, and for probes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.artifacts.paths import resolve_input
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import (
    EvaluateSaePlan,
    EvaluateSaeRequest,
    EvaluateSaeResult,
    TextSource,
    WorldSource,
)
from interp_lab.contracts.evaluation_report import EvaluationReport
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.catalogue import load_preset
from interp_lab.corpus.corpora import corpus_stamp
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HubUnreachable
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab.workflows.evaluation.cost import plan as cost
from interp_lab.workflows.evaluation.cost import refuse_unfit
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_CHARACTERS_PER_TOKEN = 2
"""Fewer than any tokenizer needs on text, so that counts are upper estimates."""


def _plan(request: EvaluateSaeRequest, lab: Lab) -> Plan:
    from interp_lab.workflows.evaluation.places import places_of  # lazy: numpy is not needed to list tools
    from interp_lab.workflows.training.columns import open_stored, store_hash  # lazy: numpy is not needed to list tools

    settings = lab.settings
    (config,) = dictionary_configs([request.dictionary], settings)
    inputs = {"dictionary": dictionary_stamp(request.dictionary, settings)}
    source = request.source
    if isinstance(source, TextSource):
        return _stream_plan(request, source, config, settings=settings, inputs=inputs)
    if isinstance(source, WorldSource):
        folder = resolve_input(settings.workspace, source.world, read_roots=settings.read_roots, kind="folder")
        found = cost(request, config, n_tokens=request.max_tokens, n_groups=request.max_tokens)
        return _as_plan(request, found, settings, inputs | {"world": folder.name})
    store = open_stored(source, settings)
    places_of(config, store.dense_widths)
    n_tokens = min(request.max_tokens, store.n_rows)
    found = cost(request, config, n_tokens=n_tokens, n_groups=store.manifest.n_groups)
    return _as_plan(request, found, settings, inputs | {"store": store_hash(store)})


def _stream_plan(
    request: EvaluateSaeRequest,
    source: TextSource,
    config: DictionaryConfig,
    *,
    settings: Settings,
    inputs: dict[str, str],
) -> Plan:
    opened = [open_prompts(each, settings) for each in request.criteria]
    for prompts in opened:
        refuse_one_sided(prompts, request.threshold)
    if request.spurious:
        from interp_lab.workflows.evaluation.attributes import open_attributes  # lazy: numpy, as above

        open_attributes(opened, request, config)
    located = locate(source.model, settings)
    if located is None and settings.offline:
        raise HubUnreachable(f"{source.model.id} is not on this machine and the operator keeps it offline.")
    facts = None
    if located is not None:
        facts = preflight(located.directory, allow_remote_code=settings.trust_remote_code)
        addresses_read(config, facts)
    stamps = {"model": fingerprint(source.model, settings), "dataset": corpus_stamp(source.dataset, settings)}
    stamps |= {f"criterion {i} {each.name}": each.sha256 for i, each in enumerate(opened)}
    n_criteria = sum(map(_tokens_at_most, opened))
    found = cost(request, config, n_tokens=request.max_tokens, criterion_tokens=n_criteria, facts=facts)
    return _as_plan(request, found, settings, inputs | stamps)


def _tokens_at_most(prompts: PromptSet) -> int:
    return sum(len(text) // _CHARACTERS_PER_TOKEN + 2 for text in prompts.texts())


def _as_plan(request: EvaluateSaeRequest, found: EvaluateSaePlan, settings: Settings, inputs: dict[str, str]) -> Plan:
    slot = slot_for("auto", settings)
    peak = "memory unknown"
    if found.peak_bytes is not None:
        peak = f"about {found.peak_bytes / 2**20:.0f} MiB at the peak"
        if slot == "cpu":
            refuse_unfit(found.peak_bytes)
    model = f" in {found.passes} passes" if found.passes else ""
    return Plan(
        summary=f"{', '.join(found.measures)}; at most about {found.n_tokens_at_most:,} tokens{model}; {peak}.",
        details=found.model_dump(mode="json", exclude_none=True),
        label=f"evaluate {request.dictionary}"[:200],
        slot=slot,
        inputs=inputs,
    )


def _handle(request: EvaluateSaeRequest, run: Run) -> EvaluateSaeResult:
    from interp_lab.workflows.evaluate_sae import evaluate_sae  # lazy: imports torch, and only the worker may

    return evaluate_sae(request, run, settings=Settings.from_env(), suggest=lambda report: suggest(request, report))


def suggest(request: EvaluateSaeRequest, report: EvaluationReport) -> tuple[NextAction, ...]:
    """Return the call that makes the latents usable: as columns of the store, or looked at one by one."""
    if isinstance(request.source, TextSource):
        named = (each for each in request.criteria if isinstance(each, BuiltinDataset))
        return tuple(_rank(request, request.source, each) for each in islice(named, 1)) or (_look(request),)
    if request.source.kind != "store" or report.kind == "crosscoder":
        return (_look(request),)
    encode = NextAction(
        tool="encode_store",
        arguments={"store": request.source.store, "dictionaries": [request.dictionary]},
        why="Make its latents columns of the store, so that they can be queried and ranked.",
    )
    return (encode,)


def _rank(request: EvaluateSaeRequest, source: TextSource, criterion: BuiltinDataset) -> NextAction:
    preset = load_preset(criterion.name)
    arguments: dict[str, JsonValue] = {
        "model": source.model.model_dump(mode="json", exclude_defaults=True),
        "criterion": preset.criterion,
        "dataset": f"builtin:{criterion.name}",
        "pooling": preset.pooling,
        "dictionaries": [request.dictionary],
    }
    why = "Rank its latents by the criterion it was probed with: an AUROC of one latent, graded on held-out prompts."
    return NextAction(tool="inspect", arguments=arguments, why=why)


def _look(request: EvaluateSaeRequest) -> NextAction:
    arguments: dict[str, JsonValue] = {"dictionary": request.dictionary, "unit": 0}
    return NextAction(tool="show_feature", arguments=arguments, why="See what a latent promotes and which are near it.")


EVALUATE_SAE = JobCapability(
    name="evaluate_sae",
    title="Measure how good a dictionary is",
    guidance=(
        "Give a dictionary and activations: a store (reconstruction, sparsity, geometry), a model with a corpus (also "
        "loss recovered and KL with the reconstruction in the model, and with criteria sparse probing, targeted probe "
        "perturbation and, for labels named in spurious, spurious-correlation removal), or a world with known truth "
        "(MCC, F1, uniqueness, absorption). Every figure has a group "
        "interval and stands beside a random dictionary of the same size and sparsity. Prompts that it was trained on "
        "are left out where its record tells which. Good figures do not show that a latent means anything. Use dry_run "
        "for passes, tokens and memory. Runs as a job: call job_wait. The artifact has report.md, report.json, "
        "report.html and results in the layout of SAEBench."
    ),
    request=EvaluateSaeRequest,
    result=EvaluateSaeResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="dictionaries",
    changes="No grade of a claim; how far the dictionary's latents can be trusted.",
    example={
        "dictionary": "dictionaries/resid_post.2",
        "source": {"kind": "stream", "model": "builtin:pocket-llama", "dataset": "builtin:person-name"},
        "criteria": ["builtin:person-name", "builtin:measurement-unit"],
    },
)
