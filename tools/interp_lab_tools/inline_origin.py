"""Where an artifact comes from that a call wrote without a job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.base import Contract
from interp_lab_tools.versions import code_version, package_versions


def inline_origin(
    capability: str, request: Contract, inputs: Mapping[str, str], *, seeds: Mapping[str, int] | None = None
) -> Origin:
    """Return the origin of what an inline call publishes now: its request as it was asked, and what it read by role."""
    return Origin(
        job=None,
        attempt=0,
        started=datetime.now(UTC),
        spec={"capability": capability, "request": request.model_dump(mode="json", exclude_defaults=True)},
        inputs=dict(inputs),
        code_version=code_version(),
        package_versions=package_versions(),
        seeds=dict(seeds or {}),
    )
