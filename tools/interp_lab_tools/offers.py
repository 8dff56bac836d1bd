"""The calls that an answer hands out: each checked as the call itself would be, with its cost and what it can change.

A call that would be refused is never offered. One that starts a job is planned as its dry run would be, which reads no
weights; so its cost is the plan's own, for these prompts, this model and this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result
from interp_lab.errors import InvalidRequest, LabError, ReadOnlyLab
from interp_lab_tools.capability import InlineCapability, JobCapability
from interp_lab_tools.catalogue import find, offered
from interp_lab_tools.lab import Lab
from interp_lab_tools.validate import validate

Answer = TypeVar("Answer", bound=Result)

AT_ONCE = "Answered at once."
_WRITES = "Answered at once; writes to the workspace."
_WAITS = "Waits for the job, up to 45 s."
_log = logging.getLogger(__name__)


def with_offers(answer: Answer, lab: Lab, *, asked: str = "") -> Answer:
    """Return the answer with calls that this lab would accept, at least one: where nothing is open, that is said.

    The capability that was asked is reached by the caller, whatever toolsets the lab offers.
    """
    actions = checked(answer.agent_next_actions, lab, asked=asked) or checked(_nothing_left(answer), lab)
    return answer.model_copy(update={"agent_next_actions": actions})


def checked(actions: Iterable[NextAction], lab: Lab, *, asked: str = "") -> tuple[NextAction, ...]:
    """Return those calls that this lab offers and would accept, each with its cost and with what it can change."""
    capabilities = {c.name: c for c in offered(lab.toolsets, read_only=lab.read_only)}
    capabilities |= {asked: find(asked)} if asked else {}
    return tuple(_accepted(actions, capabilities, lab))


def _nothing_left(answer: Result) -> Iterator[NextAction]:
    for artifact in answer.artifacts[:1]:
        why = "This answer leaves no call open; its files have the rest."
        yield NextAction(tool="artifact_read", arguments={"artifact_id": artifact.id}, why=why)
    if not answer.artifacts:
        why = "This answer leaves no call open; see what else can be asked."
        yield NextAction(tool="lab_overview", arguments={"sections": ["capabilities"]}, why=why)


def _accepted(
    actions: Iterable[NextAction], capabilities: dict[str, InlineCapability | JobCapability], lab: Lab
) -> Iterator[NextAction]:
    for action in actions:
        capability = capabilities.get(action.tool)
        if capability is None:
            continue
        try:
            cost = _cost(action, capability, lab)
        except LabError as error:
            level = logging.ERROR if isinstance(error, InvalidRequest) else logging.INFO
            _log.log(level, "a call of %s was not offered: %s", action.tool, error)
            continue
        except Exception:  # noqa: BLE001  # an answer is not lost because what could follow it cannot be planned
            _log.exception("a call of %s could not be planned", action.tool)
            continue
        said = {"arguments": _plain(action.arguments), "cost": cost, "changes": action.changes or capability.changes}
        yield action.model_copy(update=said)


def _plain(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the arguments without nulls, which mean the same as nothing and which published schemas do not allow."""
    kept = {name: value for name, value in arguments.items() if value is not None}
    return {name: _plain(value) if isinstance(value, dict) else value for name, value in kept.items()}


def _cost(action: NextAction, capability: InlineCapability | JobCapability, lab: Lab) -> str:
    """Return what the call takes.

    Raises:
        LabError: It would be refused.
    """
    request = validate(capability.request, _plain(action.arguments))
    if isinstance(capability, InlineCapability):
        if capability.waits_for is not None:
            return _WAITS
        writes = capability.effects.writes(request)
        if writes and lab.read_only:
            raise ReadOnlyLab
        return _WRITES if writes else AT_ONCE
    assert isinstance(request, JobRequest)
    said = action.cost or capability.plan(request, lab).summary  # a plan that was just made says its cost itself
    return f"This call only plans. The run: {said}" if request.dry_run else f"A job: {said}"
