"""attribution_graph: what one prompt's tokens, latents and errors hand on; a dry run unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.attribution_graph import (
    AttributionGraphRequest,
    AttributionGraphResult,
    GraphPlan,
    GraphReport,
)
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.errors import HubUnreachable
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab.workflows.intervening.cost import seconds_for
from interp_lab.workflows.summarize_graph import feature_calls
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_BACKWARD = 2
"""Passes that a backward pass is worth."""


def _plan(request: AttributionGraphRequest, lab: Lab) -> Plan:
    settings = lab.settings
    configs = dictionary_configs(request.dictionaries, settings)
    source = locate(request.model, settings)
    if source is None and settings.offline:
        raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
    n_tokens, n_backward = len(request.prompt) + 1, request.max_features + request.n_logits
    seconds, basis = None, None
    if source is not None:
        facts = preflight(
            source.directory,
            addresses=(),
            prompts={"prompt": request.prompt},
            allow_remote_code=settings.trust_remote_code,
        )
        for config in configs:
            addresses_read(config, facts)
        seconds, basis = seconds_for(request.model, facts, _BACKWARD * n_backward * n_tokens, settings)
    exact = all(map(_stands_in, configs))
    found = GraphPlan(
        n_tokens=n_tokens,
        n_backward=n_backward,
        exact=exact,
        seconds=seconds,
        seconds_source=basis,
        advisories=() if exact else ("Not every dictionary is a transcoder of an MLP: weights will be first-order.",),
    )
    time = "time unknown" if seconds is None else f"at most about {seconds:.0f} s"
    return Plan(
        summary=f"A graph of one prompt in {request.model.id}: at most {n_backward:,} backward passes; {time}.",
        details=found.model_dump(mode="json", exclude_none=True),
        label=f"attribution graph of {request.prompt[:80]} in {request.model.id}",
        slot=slot_for(request.model.device, settings),
        inputs={
            "model": fingerprint(request.model, settings),
            **{f"dictionary {name}": dictionary_stamp(name, settings) for name in dict.fromkeys(request.dictionaries)},
        },
        warnings=found.advisories,
    )


def _stands_in(config: DictionaryConfig) -> bool:
    read, written = config.address_in or "", config.address_out or ""
    return read.startswith("mlp_in.") and written.startswith("mlp_out.")


def _handle(request: AttributionGraphRequest, run: Run) -> AttributionGraphResult:
    from interp_lab.workflows.attribution_graph import attribution_graph  # lazy: imports torch, in the worker only

    return attribution_graph(request, run, settings=Settings.from_env(), suggest=suggest)


def suggest(report: GraphReport, artifact: str) -> tuple[NextAction, ...]:
    """Return the calls that read the graph and its strongest latents, ready to be made."""
    read = NextAction(
        tool="summarize_graph", arguments={"graph": artifact}, why="Read paths and the neighbours of any node."
    )
    return (read, *feature_calls(report))


ATTRIBUTION_GRAPH = JobCapability(
    name="attribution_graph",
    title="Draw what the parts of one prompt hand to each other",
    guidance=(
        "Why this model predicts the next token of one prompt, as a graph: tokens, active latents, what dictionaries "
        "miss (error nodes) and likely next tokens, with what each adds to every later one while attention patterns "
        "and norms are held. With transcoders (mlp_in to mlp_out) every edge is exact under what is held; with SAEs "
        "MLPs are replaced by their slope. Pruned by influence; replacement and completeness say how much is no error. "
        "Edges are attributions on one prompt, never effects: intervene on what they suggest. Without dry_run=false it "
        "only plans. Transcoders come from train_sae (kind transcoder, addresses mlp_in.N, targets mlp_out.N, all "
        "layers in one call); the folder in the example stands for yours. Runs as a job: if state is not final, call "
        "job_wait; then summarize_graph. The artifact has "
        "graph.json, neuronpedia.json (read by Neuronpedia and circuit-tracer), graph.graphml, report.md and a viewer, "
        "report.html."
    ),
    request=AttributionGraphRequest,
    result=AttributionGraphResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="circuits",
    changes="No grade; which units of one prompt are worth an edit.",
    example={"model": "builtin:pocket-llama", "prompt": "The three old cats", "dictionaries": ["transcoders/layer-2"]},
)
