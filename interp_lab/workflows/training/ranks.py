"""Training in processes of one machine or several, as part of a run: they leave the checkpoint that the run ends."""

from __future__ import annotations

from interp_lab.artifacts.durable import write_durably
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.jobs.gang import Gang
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings

_MODULE = "interp_lab.workflows.train_together"


def train_in_ranks(request: TrainSaeRequest, run: Run, settings: Settings) -> None:
    """Train with the processes that the request asks for, until the run's checkpoint holds everything.

    Raises:
        LabError: What one of them was refused with, or that processes died too often.
    """
    asked = run.checkpoint_dir / "request.json"
    write_durably(asked, request.model_dump_json().encode())
    arguments = (str(asked), "--workspace", str(settings.workspace), "--checkpoints", str(run.checkpoint_dir))
    gang = Gang(
        module=_MODULE,
        arguments=arguments,
        n=request.ranks // request.nodes,
        nodes=request.nodes,
        crash_budget=settings.crash_budget,
        grace_s=settings.kill_grace_s / 2,
    )
    gang.work(run)
