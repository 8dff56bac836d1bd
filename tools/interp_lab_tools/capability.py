"""What a capability is: the declaration from which tool, schema, command line, documentation and job payload follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobRequest, JobView
from interp_lab.contracts.results import Result
from interp_lab.jobs.parts.sharding import Sharding

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run
    from interp_lab_tools.lab import Lab

Toolset = Literal["core", "ops", "dictionaries", "explain", "evidence", "steering", "probes", "circuits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What calling a capability does to the world; becomes the MCP annotations."""

    read_only: bool
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False
    """Reaches beyond this machine."""
    writes_if_asked: tuple[str, ...] = ()
    """Fields by which a request asks for an artifact: without them none is written; a read-only server refuses them."""

    @property
    def readable(self) -> bool:
        """Whether a server that writes nothing can offer it."""
        return self.read_only or bool(self.writes_if_asked)

    def writes(self, request: Contract) -> bool:
        """Whether this request, of a capability that is answered at once, writes to the workspace."""
        fields = type(request).model_fields
        asked = any(getattr(request, name) != fields[name].default for name in self.writes_if_asked)
        return asked if self.writes_if_asked else not self.read_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One thing that can be asked of the lab.

    The name is the MCP tool, the CLI subcommand, the schema's file stem and the anchor in the documentation.
    """

    name: str
    title: str
    guidance: str
    """For agents: when to call it, when not, and what the answer does and does not show."""
    request: type[Contract]
    effects: Effects
    toolset: Toolset
    changes: str
    """What an answer can change: which grades, what there is afterwards, or nothing; told with every offered call."""
    example: Mapping[str, JsonValue]
    """A valid request: shown in the documentation, run by the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineCapability(Capability):
    """A capability that is answered at once, in the process that was asked."""

    result: type[Result]
    handler: Callable[[Any, Lab], Result]
    """(request, lab) → result; a handler that has to wait for a job returns the view that it has now."""
    waits_for: Callable[[Any], tuple[str, float]] | None = None
    """(request) → job id and seconds, for a capability whose answer is a job's view once that job has ended."""

    @property
    def execution(self) -> Literal["inline", "job"]:
        """Where the work is done."""
        return "inline"

    @property
    def output(self) -> type[Result]:
        """What a call returns."""
        return self.result


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCapability(Capability):
    """A capability whose work runs as a durable job in a process of its own."""

    request: type[JobRequest]
    result: type[Result]
    """What the job returns; the call returns a JobView that holds it."""
    plan: Callable[[Any, Lab], Plan]
    """(request, lab) → what it will cost, after every check that needs no model; a bad request raises LabError here."""
    handler: Callable[[Any, Run], Result]
    """(request, run) → result; runs in the worker, and only there imports its workflow."""
    sharding: Sharding | None = None
    """How the work is cut into independent parts, where it can be."""
    processes: Callable[[Any], int] = lambda _request: 1
    """(request) → processes that do the work together on each machine, each with an accelerator of its own."""
    nodes: Callable[[Any], int] = lambda _request: 1
    """(request) → machines of a cluster that do the work together."""

    @property
    def execution(self) -> Literal["inline", "job"]:
        """Where the work is done."""
        return "job"

    @property
    def output(self) -> type[Result]:
        """What a call returns."""
        return JobView


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job would do and cost, known before it starts."""

    summary: str
    details: Mapping[str, JsonValue]
    label: str
    """How the job is named in lists."""
    slot: Literal["cpu", "gpu"] = "cpu"
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → hash or version of what will be read."""
    warnings: tuple[str, ...] = ()
