"""profile_env: what this machine is and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.artifacts.durable import describe_full, free_bytes
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.machine import ProfileEnvPlan, ProfileEnvRequest, ProfileEnvResult
from interp_lab.errors import DiskFull
from interp_lab.machine.hardware import PROBE_BYTES
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: ProfileEnvRequest, lab: Lab) -> Plan:
    if free_bytes(lab.settings.workspace) < 2 * PROBE_BYTES:
        raise DiskFull(describe_full(lab.settings.workspace, 2 * PROBE_BYTES))
    plan = ProfileEnvPlan(seconds=request.seconds, bytes_written=PROBE_BYTES)
    runs = ", makes short runs of the lab's own jobs (about half a minute)" if request.work else ""
    summary = (
        f"Measures for {request.seconds:g} s{runs} and writes {PROBE_BYTES / 2**20:.0f} MiB to the workspace, "
        f"which are removed again; what is known of this machine and version is not measured again."
    )
    return Plan(summary=summary, details=plan.model_dump(mode="json"), label="this machine")


def _handle(request: ProfileEnvRequest, run: Run) -> ProfileEnvResult:
    from interp_lab.workflows.profile_env import profile_env  # lazy: the workflow imports torch

    why = "See what harvesting, training and interventions would take here; put in the size of your own model."
    plan = NextAction(tool="plan_scale", arguments={"parameters": "7B", "tokens": "10M"}, why=why)
    return profile_env(request, run).model_copy(update={"agent_next_actions": (plan,)})


PROFILE_ENV = JobCapability(
    name="profile_env",
    title="Profile this machine",
    guidance=(
        "Finds cores, memory, disk, accelerators, libraries, credentials (names only) and engines, honours container "
        "limits, and measures matrix products, memory, disk and short jobs. Call it before planning large work; the "
        "first takes half a minute. Rates are kept per machine: fresh (with a new request_key) measures again. They "
        "hold for this machine as busy as it was; it says nothing about any model."
    ),
    request=ProfileEnvRequest,
    result=ProfileEnvResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False),
    toolset="core",
    changes="No claim; plans then use what this machine measured.",
    example={"seconds": 2.0},
)
