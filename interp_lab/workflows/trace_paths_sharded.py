# pyright: standard
"""A path sweep in shards of its prompts: those of the screen first, where it chooses, then those that are edited."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from interp_lab.contracts.trace_paths import TracePathsRequest
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import dictionary_configs
from interp_lab.workflows.trace_paths import trace_paths
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.tracing.sharded import payloads, run_share
from interp_lab.workflows.tracing.shares import Stage


def plan(request: TracePathsRequest, run: PartRun, stage: int, *, settings: Settings) -> Sequence[JsonValue]:
    """Return the places of the shards, once for each stage."""
    with decided_matmul(run.checkpoint_dir):
        stages = _stages(request, settings)
        return payloads(stages[stage], request.shards) if stage < len(stages) else ()


def run_shard(request: TracePathsRequest, run: PartRun, payload: JsonValue, *, settings: Settings) -> None:
    """Run the prompts of one shard in one stage; what they give becomes its output.

    Raises:
        LabError: As for the sweep in one process.
    """
    run_share(
        run,
        payload,
        request.shards,
        lambda share: trace_paths(request, run, settings=settings, suggest=Suggest(), share=share),
    )


def _stages(request: TracePathsRequest, settings: Settings) -> tuple[Stage, ...]:
    """A screen that does not choose is of a few prompts, and every process makes it itself.

    Where a run has to count first, it may need none of the stages of an estimate; shards of those end at once.
    """
    n_sources = len(request.sources)
    if request.source_dictionary is not None:
        (config,) = dictionary_configs([request.source_dictionary], settings)
        n_sources = config.n_latents
    if n_sources <= request.n_measured:
        return ("edits",)
    is_exact = request.screen == "exact" or (request.screen == "auto" and request.source_dictionary is None)
    return ("screen", "edits") if is_exact else ("screen", "drawn", "margin", "edits")
