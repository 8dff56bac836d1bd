"""A training job on two machines, the second of which is lost on the way."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp_lab.contracts.jobs import JobView
from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.e2e import held_ranks
from tests.e2e.waiting import until
from tests.unit.workflows.training import gated_ranks


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
        until(lab, job_id, lambda: str(lead.progress.read().get("message")).startswith("step "))
        os.kill(held_ranks.second_machine(workspace), signal.SIGKILL)
        until(lab, job_id, lambda: lead.read_start().number > 1)
        gate.unlink()
        until(lab, job_id, lambda: lab.engine.get(job_id).final)
        assert lab.engine.get(job_id).state == "succeeded", lab.engine.logs(job_id).text
        (made,) = [manifest for manifest in lab.engine.artifacts_of(job_id) if manifest.kind == "dictionary"]
        return lab.engine.artifacts.path_of(made.id, "sae_weights.safetensors")
