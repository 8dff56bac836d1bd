"""Which capabilities a server shows: those of its toolsets, and those without which what they start cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from interp_lab_tools.capability import InlineCapability, JobCapability

JOB_CONTROLS: Final = frozenset({"job_wait", "job_cancel", "artifact_read"})
"""By which a job is waited for and ended, and what it made is read."""
ALWAYS: Final = frozenset({"lab_overview"})
"""What there is: the call that an answer can always end with."""


def shown(
    capabilities: Iterable[InlineCapability | JobCapability], toolsets: frozenset[str], *, read_only: bool
) -> tuple[InlineCapability | JobCapability, ...]:
    """Return the capabilities of the toolsets in order; the overview and, with any job, its controls come along."""
    able = [c for c in capabilities if c.effects.readable or not read_only]
    jobs = any(isinstance(c, JobCapability) and c.toolset in toolsets for c in able)
    along = ALWAYS | JOB_CONTROLS if jobs else ALWAYS
    return tuple(c for c in able if c.toolset in toolsets or c.name in along)
