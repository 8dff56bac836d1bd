"""The shape that every answer shares: a quotable first line, warnings, artifacts, and what to call next."""

from __future__ import annotations

from typing import Literal

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.artifacts import ArtifactRef
from interp_lab.contracts.base import Contract


class Result(Contract):
    """Base of every capability's answer."""

    schema_version: Literal["1"] = "1"
    """Version of this answer's schema; within a version, fields are only ever added."""
    summary: str
    """At most three lines; the first can be quoted and carries its own caveat."""
    warnings: tuple[str, ...] = ()
    """What a careful reader must know before using the answer."""
    artifacts: tuple[ArtifactRef, ...] = ()
    """What was written, to be read with artifact_read or as a resource."""
    agent_next_actions: tuple[NextAction, ...] = ()
    """At most three calls that would settle what this answer leaves open."""
