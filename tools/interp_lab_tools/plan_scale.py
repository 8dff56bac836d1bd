"""plan_scale: what a large run would take, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.machine import PROFILE_KIND
from interp_lab.contracts.plan_scale import PlanScaleRequest, PlanScaleResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.workflows.plan_scale import OwnProfile


def _handle(request: PlanScaleRequest, lab: Lab) -> PlanScaleResult:
    from interp_lab.workflows.plan_scale import own_profile, plan_scale  # lazy: pyarrow and safetensors

    recent = [profile.id for profile in lab.engine.list_artifacts(kind=PROFILE_KIND).items]
    own = own_profile(recent, lab.settings)
    result = plan_scale(request, settings=lab.settings, own=own)
    return result.model_copy(update={"agent_next_actions": tuple(_next(request, result, own))})


def _next(request: PlanScaleRequest, result: PlanScaleResult, own: OwnProfile) -> Iterator[NextAction]:
    if request.profile is None and (own.profile is None or own.skipped):
        yield NextAction(
            tool="profile_env",
            arguments={},
            why="Measures this machine, so that the plan can say what it would take here.",
        )
    for call in result.calls:
        if not call.fill:
            arguments = {**call.arguments, "dry_run": True}
            yield NextAction(
                tool=call.tool, arguments=arguments, why="Checks this stage of the plan on the real files."
            )
    if request.device is None and own.profile is not None and not any(route.fits for route in result.routes):
        same = request.model_dump(mode="json", exclude_defaults=True, exclude={"profile"})
        why = "It fits no route of this machine: the same on such accelerators, by published figures; name your own."
        yield NextAction(tool="plan_scale", arguments={**same, "device": "h100-sxm", "n_devices": 8}, why=why)


PLAN_SCALE = InlineCapability(
    name="plan_scale",
    title="Plan a large run",
    guidance=(
        "What harvesting, dictionary training and interventions would take, for a model that is here or on paper "
        "(parameters '70B', tokens '1B tokens'): memory, bytes, arithmetic, time by route, the bottleneck, what to "
        "change to fit, money and energy. Every number has its formula and source. Times use this machine's profile "
        "(call profile_env first), or published figures for a named device. Starts nothing; dry_run of the calls it "
        "returns is exact."
    ),
    request=PlanScaleRequest,
    result=PlanScaleResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="ops",
    changes="No claim; it says what a run would take.",
    example={"parameters": "70B", "tokens": "1B tokens", "n_addresses": 4, "device": "h100-sxm", "n_devices": 8},
)
