"""A training job on two machines, the second of which is lost on the way."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from interp_lab.contracts.jobs import JobView
from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.e2e import held_ranks
from tests.unit.workflows.training import gated_ranks

PATIENCE_S = 1800.0


def trained_on_two(workspace: Path, asked: Mapping[str, Any], **options: Any) -> Path:
    """Return the file of weights of a job one of whose two machines was lost after training had begun."""
    gate = workspace / gated_ranks.GATE
    gate.touch()
    command = (sys.executable, str(held_ranks.__file__))
    # silence of a machine that is only slow is no loss
    settings = Settings(workspace=workspace, worker_command=command, silence_s=7200, **options)
    with Lab.open(settings) as lab:
        view = call(lab, "train_sae", {**asked, "nodes": 2, "wait_s": 0})
        assert isinstance(view, JobView)
        assert view.job_id is not None
        job_id = view.job_id
        lead = PartFolder(lab.engine.paths.job(job_id) / "parts", PartName(0))
        _until(lab, job_id, lambda: str(lead.progress.read().get("message")).startswith("step "))
        os.kill(held_ranks.second_machine(workspace), signal.SIGKILL)
        _until(lab, job_id, lambda: lead.read_start().number > 1)
        gate.unlink()
        _until(lab, job_id, lambda: lab.engine.get(job_id).final)
        assert lab.engine.get(job_id).state == "succeeded", lab.engine.logs(job_id).text
        (made,) = [manifest for manifest in lab.engine.artifacts_of(job_id) if manifest.kind == "dictionary"]
        return lab.engine.artifacts.path_of(made.id, "sae_weights.safetensors")


def _until(lab: Lab, job_id: str, condition: Callable[[], object]) -> None:
    """Wait for something to be true; a job that ended before it was is told by its log."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ended = lab.engine.get(job_id).final
        if condition():
            return
        assert not ended, lab.engine.logs(job_id).text
        assert time.monotonic() < deadline, lab.engine.logs(job_id).text
        lab.engine.tick()
        time.sleep(0.05)
