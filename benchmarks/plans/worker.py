"""One run of the lab in a process of its own: a request on the command line, what it took on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.machine import ProfileEnvRequest
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.jobs.pace import peak_rss_bytes
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.intervene import intervene
from interp_lab.workflows.profile_env import profile_env
from interp_lab.workflows.train_sae import train_sae


def main() -> int:
    """Make the run."""
    tool, asked, folder, name = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    settings = Settings(workspace=folder, cpu_slots=os.cpu_count() or 1)  # one thread each
    with LocalRun(folder / name, workspace=folder) as run:
        answer = _made(tool, asked, run, settings)
    bytes_written = [sum(file.stat().st_size for file in made.rglob("*") if file.is_file()) for made in run.written]
    print(
        json.dumps(
            {
                "cpu_s": time.process_time(),
                "peak_bytes": peak_rss_bytes(),
                "bytes": bytes_written[0],
                "made": run.written[0].relative_to(folder).as_posix(),
                "answer": answer.model_dump(mode="json") if tool in ("harvest", "profile_env") else None,
            }
        )
    )
    return 0


def _made(tool: str, asked: object, run: LocalRun, settings: Settings):
    if tool == "profile_env":
        return profile_env(ProfileEnvRequest.model_validate(asked), run)
    if tool == "harvest":
        return harvest(HarvestRequest.model_validate(asked), run, settings=settings)
    if tool == "train_sae":
        return train_sae(TrainSaeRequest.model_validate(asked), run, settings=settings, suggest=lambda _: ())
    return intervene(InterveneRequest.model_validate(asked), run, settings=settings, suggest=lambda _: ())


if __name__ == "__main__":
    sys.exit(main())
