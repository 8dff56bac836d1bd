"""The one way in: a name and arguments go in, an answer or a wait for one comes out.

Every surface calls it and none validates twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from interp_lab.contracts.jobs import FINAL_STATES, RUN_CONTROLS, JobRequest, JobView
from interp_lab.contracts.results import Result
from interp_lab.jobs.spec import JobSpec
from interp_lab_tools.capability import InlineCapability, JobCapability, Plan
from interp_lab_tools.catalogue import find
from interp_lab_tools.lab import Lab
from interp_lab_tools.mending import after_failure
from interp_lab_tools.offers import with_offers
from interp_lab_tools.validate import validate
from interp_lab_tools.versions import code_version
from interp_lab_tools.views import job_view, plan_view


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A wait for a job: ask `done` as often as you like, then take the `view`."""

    lab: Lab
    job_id: str
    wait_s: float
    _started: float = field(default_factory=time.monotonic)

    def done(self) -> bool:
        """Return whether the job has ended or the time is up; lets the engine reap and dispatch once."""
        self.lab.engine.tick()
        return self.lab.engine.get(self.job_id).state in FINAL_STATES or self.expired()

    def expired(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() - self._started >= self.wait_s

    def view(self) -> JobView:
        """Return the job as it stands now."""
        return callable_view(self.lab, self.job_id)


def dispatch(lab: Lab, name: str, arguments: Mapping[str, Any]) -> Result | Pending:
    """Return the answer, or a Pending for a call that waits for a job.

    Raises:
        UnknownCapability, InvalidRequest and whatever the capability's own checks refuse.
    """
    capability = find(name)
    request = validate(capability.request, arguments)
    if isinstance(capability, JobCapability):
        assert isinstance(request, JobRequest)
        return _start(lab, capability, request)
    assert isinstance(capability, InlineCapability)
    if capability.waits_for is not None:
        job_id, wait_s = capability.waits_for(request)
        lab.engine.get(job_id)
        return Pending(lab=lab, job_id=job_id, wait_s=wait_s)
    return with_offers(capability.handler(request, lab), lab)


def callable_view(lab: Lab, job_id: str) -> JobView:
    """Return the job as it stands now, with those next actions that this lab offers.

    Raises:
        UnknownJob: there is none of that id.
    """
    view = with_offers(job_view(lab, job_id), lab)
    return view if view.error is None else after_failure(view, lab.engine.spec(job_id).request, lab)


def _start(lab: Lab, capability: JobCapability, request: JobRequest) -> Result | Pending:
    plan = capability.plan(request, lab)
    if request.dry_run:
        return with_offers(plan_view(capability.name, request, plan), lab, asked=capability.name)
    spec = replace(job_spec(capability, request, plan), investigator=lab.settings.investigator)
    job = lab.engine.submit(spec, request_key=request.request_key)
    lab.engine.tick()
    return Pending(lab=lab, job_id=job.id, wait_s=request.wait_s)


def job_spec(capability: JobCapability, request: JobRequest, plan: Plan) -> JobSpec:
    """Return the durable form of a request: what is computed, without how it is waited for."""
    return JobSpec(
        capability=capability.name,
        request=request.model_dump(mode="json", exclude=set(RUN_CONTROLS)),
        label=plan.label,
        slot=plan.slot,
        n_slots=capability.processes(request) if plan.slot == "gpu" else 1,
        inputs=plan.inputs,
        warnings=plan.warnings,
        code_version=code_version(),
    )
