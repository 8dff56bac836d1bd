# pyright: standard
"""Calibrate: the pipeline on models whose truth is known, blind, over a sweep until it breaks."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from interp_lab.artifacts.durable import write_durably
from interp_lab.contracts.calibrate import CalibrateRequest, CalibrateResult
from interp_lab.contracts.calibration_report import WorldScore
from interp_lab.jobs.run import Run
from interp_lab.workflows.calibrating.investigate import Investigate, investigate
from interp_lab.workflows.calibrating.report import Suggest, assemble, publish, short_form
from interp_lab.workflows.calibrating.score import score_world
from interp_lab.workflows.calibrating.sweep import Draw, draws


def calibrate(
    request: CalibrateRequest, run: Run, *, suggest: Suggest, pipeline: Investigate = investigate
) -> CalibrateResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    `pipeline` is what is measured; another one shows that this notices.

    Raises:
        LabError: whatever the pipeline refuses.
    """
    run.seed = request.seed
    drawn = tuple(draws(request))
    worlds: list[WorldScore] = []
    for done, draw in enumerate(drawn):
        run.progress(done, len(drawn), f"{draw.setting.axis} {draw.setting.value}".strip(), "models")
        worlds.append(_scored(draw, request, run, pipeline))
    report = assemble(request, worlds, run=run)
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    publish(report, worlds, run)
    return short_form(report)


def _scored(draw: Draw, request: CalibrateRequest, run: Run, pipeline: Investigate) -> WorldScore:
    """Return the score of one model, from an interrupted attempt if that had it."""
    asked = f"{draw.setting.model_dump_json()} {draw.seed} {request.seed} {run.code_version}"
    path = run.checkpoint_dir / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"
    if (kept := _kept(path)) is not None:
        return kept
    found = score_world(draw, pipeline, seed=request.seed, stop=run.check)
    write_durably(path, found.model_dump_json().encode())
    return found


def _kept(path: Path) -> WorldScore | None:
    try:
        return WorldScore.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
