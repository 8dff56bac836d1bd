# pyright: standard
"""Claimed paths rerun in shards of the held-out prompts, in one stage."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.settings import Settings
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.tracing.sharded import payloads, run_share
from interp_lab.workflows.validate_paths import validate_paths


def plan(request: ValidatePathsRequest, run: PartRun, stage: int) -> Sequence[JsonValue]:
    """Return the places of the shards, once."""
    with decided_matmul(run.checkpoint_dir):
        return payloads("edits", request.shards) if stage == 0 else ()


def run_shard(request: ValidatePathsRequest, run: PartRun, payload: JsonValue, *, settings: Settings) -> None:
    """Rerun the claims on the prompts of one shard; what they give becomes its output.

    Raises:
        LabError: As for the validation in one process.
    """
    run_share(
        run,
        payload,
        request.shards,
        lambda share: validate_paths(request, run, settings=settings, suggest=Suggest(), share=share),
    )
