"""What earlier runs of this workspace on this machine say of a plan: they count before short runs of a profile."""

from __future__ import annotations

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.machine import MachineProfile
from interp_lab.contracts.plan_scale import PlanScaleRequest
from interp_lab.machine.hardware import this_host
from interp_lab.machine.scale.costs import BATCH_TOKENS, Costs
from interp_lab.machine.scale.own_times import NOTHING_LEARNED, Earlier, Learned
from interp_lab.models.rates import known_rate
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import device_key
from interp_lab.workflows.intervening.cost import earlier_pace
from interp_lab.workflows.training.cost import known_step

_LEAST_TOKENS = 10_000
_ALIKE = 1.5
"""Dictionaries whose inputs and latents are within this factor train at one speed per multiply-add."""


def learned(request: PlanScaleRequest, costs: Costs, profile: MachineProfile, settings: Settings) -> Learned:
    """Return what is known of these files and sizes; nothing for another machine's profile."""
    if profile.host != this_host():
        return NOTHING_LEARNED
    return Learned(
        token=_token(request, costs, settings),
        step=_step(request, costs, settings),
        edits=None if request.model is None else _edits(request, settings),
    )


def _token(request: PlanScaleRequest, costs: Costs, settings: Settings) -> Earlier | None:
    """Seconds of a token in this model down to the deepest of the addresses."""
    if request.model is None:
        return None
    device = device_key("cpu", "float32", settings.threads_per_slot())
    rate = known_rate(WorkspacePaths.of(settings).root, fingerprint(request.model, settings), device)
    if rate is None or rate.n_tokens < _LEAST_TOKENS:
        return None
    told = f"a harvest of {rate.n_tokens:,} tokens with this model here on {rate.measured_at:%Y-%m-%d}"
    return Earlier(costs.depth * costs.shape.active / rate.macs_per_s, told)


def _step(request: PlanScaleRequest, costs: Costs, settings: Settings) -> Earlier | None:
    """Seconds of a step of a dictionary about as large."""
    wanted = costs.shape.d_model, costs.n_latents
    rate = known_step(request.architecture, WorkspacePaths.of(settings).root)
    if rate is None or rate.n_tokens < _LEAST_TOKENS or len(rate.sizes) != len(wanted):
        return None
    if any(max(a, b) > _ALIKE * min(a, b) for a, b in zip(wanted, rate.sizes, strict=True)):
        return None
    told = f"{rate.n_tokens:,} tokens of {rate.sizes[1]:,} latents trained here on {rate.measured_at:%Y-%m-%d}"
    return Earlier(BATCH_TOKENS * wanted[0] * wanted[1] / rate.macs_per_s, told)


def _edits(request: PlanScaleRequest, settings: Settings) -> Earlier | None:
    """How many times as long as on an ordinary core interventions on this model took."""
    assert request.model is not None
    pace = earlier_pace(request.model, settings)
    return None if pace is None else Earlier(*pace)
