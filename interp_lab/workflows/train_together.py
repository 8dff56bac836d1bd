# pyright: standard
"""One training run in several processes, started by torchrun: each takes its share of every batch.

Every process reads the same batches and keeps the rows of its rank; gradients are averaged after every step, so the
weights stay the same everywhere. Only the first process measures, keeps checkpoints and publishes. Dictionaries whose
latents compete within a batch (batchtopk, matryoshka) compete within each process's share.

A job starts it with --checkpoints: then nothing is published, and the job goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, distributed

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.engine.precision import decided_matmul
from interp_lab.errors import InvalidRequest, LabError
from interp_lab.jobs.rankrun import RankRun
from interp_lab.jobs.run import LocalRun, Run
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.settings import Settings
from interp_lab.workflows.training.columns import open_stored
from interp_lab.workflows.training.cost import refuse_unfit, refuse_unfit_disk
from interp_lab.workflows.training.feed import Feed, StoreFeed
from interp_lab.workflows.training.loop import Loop
from interp_lab.workflows.training.plan import Planned, planned

_BROKEN = 75


def exchange(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their means over all processes; counts are rounded up, so that what fired anywhere fired."""
    world = distributed.get_world_size()
    for tensor in tensors:
        distributed.all_reduce(tensor)
        if tensor.is_floating_point():
            tensor.div_(world)
        else:
            tensor.copy_((tensor + world - 1) // world)


def own_device() -> torch.device:
    """Return where this process computes: an accelerator of its own where there are any, else the processor.

    Raises:
        InvalidRequest: There are fewer accelerators than processes on this machine.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    place, n = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if place >= n:
        raise InvalidRequest(f"A machine has {n} accelerators for more ranks than that; each needs one of its own.")
    return torch.device("cuda", place)


def backend_of(kind: str) -> str:
    """Return what joins processes that compute on devices of that kind."""
    return "nccl" if kind == "cuda" else "gloo"


class _Follower(LocalRun):
    """The run of a process that is not the first: it records nothing."""

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Leave measurements to the first process."""

    def __exit__(self, *_: object) -> None:
        """Leave the folder as it is: the first process may still be writing artifacts in it."""


def _share(each: Planned, device: torch.device) -> Trainer:
    """Return the trainer of this process: counts of tokens are those of its share."""
    world, training = distributed.get_world_size(), each.training
    if training.batch_tokens % world:
        raise InvalidRequest(f"{training.batch_tokens} tokens of a batch cannot be shared by {world} processes.")
    batch = training.batch_tokens // world
    local = training.model_copy(
        update={
            "batch_tokens": batch,
            "total_tokens": batch * training.total_steps,
            "dead_window_tokens": max(1, training.dead_window_tokens // world),
        }
    )
    return Trainer(each.config, local, device=device, exchange=exchange)


def train_share(request: TrainSaeRequest, feed: Feed, run: Run) -> Loop:
    """Return a finished loop of one process of a group that is already connected.

    Raises:
        LabError: as `train_sae`, in every process.
    """
    rank, world = distributed.get_rank(), distributed.get_world_size()
    dictionaries = planned(request, feed.widths, origin=feed.origin, n_train=feed.n_train)
    refuse_unfit(dictionaries)
    refuse_unfit_disk(dictionaries, run.checkpoint_dir, written=run.checkpoints.written())
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # NCCL otherwise waits at barriers on the first for all of them
    trainers = {each.name: _share(each, device) for each in dictionaries}
    rows, leads = slice(rank, None, world), rank == 0
    loop = Loop(request, dictionaries, trainers, feed, run, rows=rows, start=Trainer.start, leads=leads)
    loop.train()
    distributed.barrier()
    return loop


def train_together(request: TrainSaeRequest, feed: Feed, output: Path, settings: Settings) -> None:
    """Train as one of the processes of a group that is already connected; the first one publishes into `output`.

    Raises:
        LabError: as `train_sae`, in every process.
    """
    leads = distributed.get_rank() == 0
    kind = LocalRun if leads else _Follower
    with kind(output, seed=request.seed, workspace=settings.workspace) as run:
        loop = train_share(request, feed, run)
        if leads:
            from interp_lab.workflows.train_sae import publish_all  # lazy: takes transformers along

            publish_all(loop, run, lambda _rows: ())


def train_for_job(request: TrainSaeRequest, checkpoints: Path, settings: Settings) -> bool:
    """Train as one of the processes of a job's group and keep the end as a checkpoint; return False if cut short.

    What is wrong with the request, or too large for the machine, is left as word for the job; whatever else happens may
    go better next time.
    """
    leads = distributed.get_rank() == 0
    run = RankRun(checkpoints, seed=request.seed, workspace=settings.workspace, leads=leads)
    run.listen()
    try:
        with decided_matmul(checkpoints):
            assert request.source.kind != "stream"
            feed = StoreFeed(open_stored(request.source, settings), request)
            train_share(request, feed, run).save()
    except InterruptedJob:
        return False
    except (LabError, MemoryError, torch.OutOfMemoryError) as error:
        run.failed(error, WorkspacePaths.of(settings))
        return False
    distributed.barrier()
    return True


def main() -> int:
    """Train what a request file says, as one process of torchrun."""
    parser = argparse.ArgumentParser(prog="torchrun -m interp_lab.workflows.train_together", description=__doc__)
    parser.add_argument("request", type=Path, help="JSON file with a train_sae request")
    parser.add_argument("--workspace", type=Path, default=Path.cwd(), help="folder that paths are relative to")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", type=Path, help="folder for the dictionaries and the report")
    where.add_argument("--checkpoints", type=Path, help="folder of a job that publishes them itself")
    options = parser.parse_args()
    distributed.init_process_group(backend_of("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        settings = Settings.from_env(workspace=options.workspace)
        request = TrainSaeRequest.model_validate_json(options.request.read_bytes())
        if options.checkpoints is not None:
            return 0 if train_for_job(request, options.checkpoints, settings) else _BROKEN
        from interp_lab.workflows.train_sae import open_feed  # lazy: takes transformers along

        train_together(request, open_feed(request, settings), options.output, settings)
    finally:
        distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
