"""train_probe: what activations say linearly about a target, with controls and a direction to steer by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.probe import ProbeReport, TrainProbePlan, TrainProbeRequest, TrainProbeResult
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_BYTES_PER_EXAMPLE = 28
"""Per coordinate: float32 as read, float64 standardised, rotated and squared."""


def _plan(request: TrainProbeRequest, lab: Lab) -> Plan:
    from interp_lab.workflows.train_probe import plan_probes  # lazy: numpy is not needed to list tools
    from interp_lab.workflows.training.columns import store_hash  # lazy: numpy is not needed to list tools

    view, keys, plan = plan_probes(request, lab.settings)
    widest = max(view.column(key).width for key in keys)
    counts = plan.counts()
    details = TrainProbePlan(
        n_rows=view.n_rows,
        n_prompts=view.prompts.num_rows,
        n_groups=view.store.manifest.n_groups,
        task=plan.examples.target.task,
        classes=plan.examples.target.classes,
        counts=counts,
        columns=keys,
        peak_bytes=plan.examples.n * widest * _BYTES_PER_EXAMPLE,
    )
    return Plan(
        summary=(
            f"{len(keys)} {details.task} probes of {request.target}: {counts.train} examples train, {counts.explore} "
            f"choose the column, {counts.confirm} confirm; about {details.peak_bytes / 2**20:.0f} MiB at the peak."
        ),
        details=details.model_dump(mode="json", exclude_none=True),
        label=f"probe of {request.target} in {request.store}"[:200],
        inputs={"store": store_hash(view.store)},
    )


def _handle(request: TrainProbeRequest, run: Run) -> TrainProbeResult:
    from interp_lab.workflows.train_probe import train_probe  # lazy: numpy is not needed to list tools

    return train_probe(request, run, settings=Settings.from_env(), suggest=lambda report: suggest(request, report))


def suggest(request: TrainProbeRequest, report: ProbeReport) -> tuple[NextAction, ...]:
    """Return the calls that would settle what the report leaves open, ready to be made."""
    if len(report.columns) == 1 and request.addresses:
        arguments = request.model_dump(mode="json", exclude_defaults=True, exclude={*RUN_CONTROLS, "addresses"})
        return (NextAction(tool="train_probe", arguments=arguments, why="See where else the target can be read."),)
    why = "See what else the store holds that could stand behind the target."
    return (NextAction(tool="query_activations", arguments={"store": request.store, "query": "overview"}, why=why),)


TRAIN_PROBE = JobCapability(
    name="train_probe",
    title="Train linear probes on stored activations, beside their controls",
    guidance=(
        "Give an activation store and a target (the prompts' score, a label, a metric). Trains one linear probe per "
        "column (regression, binary or multi-class), chooses regularisation by cross-validation on the training "
        "groups, the best column on other groups, and scores it on groups that did neither, beside shuffled targets, "
        "random directions, and what length, words or tokens alone reach. The best probe is saved as a direction in "
        "raw activation units. Shows that information can be read linearly, never that the model uses it: steer or "
        "intervene along the direction for that. Use dry_run for the split. Needs a store: harvest first."
    ),
    request=TrainProbeRequest,
    result=TrainProbeResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="probes",
    changes="The direction's grade, never validated; whether the target can be read there, beside controls.",
    example={"store": "activations/person-name", "target": "score", "pooling": "span"},
)
