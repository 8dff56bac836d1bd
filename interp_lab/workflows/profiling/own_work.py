# pyright: standard
"""How long the lab's own work takes on this machine: its steps on made-up numbers, and three short runs of its jobs."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from interp_lab.contracts.dictionaries import TrainingConfig
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.machine import WorkTime
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.corpus.sources import open_prompts
from interp_lab.dictionaries.training.probe import DENSE_SHAPES, PROBE_BATCH, PROBE_K, SHAPES, step_time
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.engine.probes import WIDTHS, forward_times
from interp_lab.jobs.run import LocalRun, Run
from interp_lab.machine.scale.labtimes import BLOCK, PROBE_WIDTH, LabTimes
from interp_lab.machine.scale.own_times import held_out_tokens
from interp_lab.machine.worktimes import measured, work_time
from interp_lab.settings import Settings
from interp_lab.workflows.intervene import intervene
from interp_lab.workflows.intervening.cost import Work, planned_seconds
from interp_lab.workflows.profiling.start import CORPUS, MIDDLE, MODEL, short_harvest, start_process
from interp_lab.workflows.train_sae import train_sae
from interp_lab.workflows.training.feed import HeldOut
from interp_lab.workflows.training.heldout import measure
from interp_lab.workflows.training.plan import Planned

_PROMPTS = "measurement-unit"
_PER_DOCUMENT, _FEW, _SOME, _DOCUMENTS = 8, 8, 96, 384
_LATENTS, _STEPS = 1024, 4
_FIGURES = 2
"""At the end, and for the artifact."""
_HELD_OUT = 2048
_EDITED_PROMPTS, _EDITED_UNITS = 160, 3
_MANY = 10**6
"""So many that rounding does not count."""

_T = TypeVar("_T")


def own_steps(device: str, seconds: float, folder: Path, check: Callable[[], None]) -> Iterator[WorkTime]:
    """Yield how long reading a model and the steps of training take there, each at several sizes."""
    share = seconds / (len(WIDTHS) + 2 * len(SHAPES) + len(DENSE_SHAPES))
    for width in WIDTHS:
        check()
        yield from forward_times(width, folder, device=device, seconds=share)
    for d_in, n_latents in SHAPES:
        check()
        timed, trainer = step_time(d_in, n_latents, device=device, seconds=share)
        yield timed
        yield _held_out_time(trainer, device=device, seconds=share)
    for d_in, n_latents in DENSE_SHAPES:
        check()
        yield step_time(d_in, n_latents, device=device, seconds=share, architecture="relu")[0]


def own_jobs(steps: tuple[WorkTime, ...], device: str, run: Run) -> Iterator[WorkTime]:
    """Yield what a harvest, a training and an intervention take besides the `steps` that were timed before."""
    folder = run.checkpoint_dir / "short-runs"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = _Jobs(folder, Settings(workspace=folder), device, LabTimes(steps), run.check)
    try:
        yield from jobs.harvests()
        yield jobs.training()
        yield jobs.interventions()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _held_out_time(trainer: Trainer, *, device: str, seconds: float) -> WorkTime:
    config = trainer.config
    rows = torch.randn(_HELD_OUT, config.d_in, generator=torch.Generator().manual_seed(1))
    block = HeldOut({"x": rows}, np.arange(_HELD_OUT) // 64)
    planned = Planned("probe", config, TrainingConfig(), ("x",), (), float(PROBE_K))
    sizes = (config.d_in, config.n_latents)

    def work() -> object:
        return measure(trainer.dictionary(), planned, [block])

    return work_time("held_out", sizes, work, device=device, seconds=seconds, per=_HELD_OUT)


class _Store(NamedTuple):
    """What a harvest made."""

    seconds: float
    n_tokens: int
    folder: str


@dataclass(frozen=True)
class _Jobs:
    """Short runs in a workspace of their own."""

    folder: Path
    settings: Settings
    device: str
    steps: LabTimes
    check: Callable[[], None]

    def harvests(self) -> Iterator[WorkTime]:
        """Yield what a harvest and a token of it take apart from the model, and what a process takes to begin.

        The first run in this process sets up and is not kept.
        """
        self._harvest(_FEW)
        few = self._harvest(_FEW)
        started, _ = _timed(lambda: start_process(self.folder))
        yield measured("worker_start", (), [max(started - few.seconds, started / 10)], device=self.device)
        # some of the cost of a corpus comes once, but only of one that is not tiny: the slope is taken beyond that
        some, many = self._harvest(_SOME), self._large
        each = max(1e-9, (many.seconds - some.seconds) / (many.n_tokens - some.n_tokens))
        own = max(1e-9, each - self._forward(many.n_tokens / _DOCUMENTS))
        yield measured("harvest_token", (), [own], device=self.device)
        start = max(some.seconds - some.n_tokens * each, few.seconds / 10)
        yield measured("harvest_run", (), [start], device=self.device)

    @cached_property
    def _large(self) -> _Store:
        return self._harvest(_DOCUMENTS)

    def training(self) -> WorkTime:
        """Return a training without its steps and figures."""
        store = self._large
        asked = {
            "source": store.folder,
            "widths": [_LATENTS],
            "sparsities": [PROBE_K],
            "training": {"total_tokens": _STEPS * PROBE_BATCH},
            "evaluations": 1,
        }
        request = TrainSaeRequest.model_validate(asked)
        with self._run("train") as run:
            seconds, _ = _timed(lambda: train_sae(request, run, settings=self.settings, suggest=lambda _: ()))
        figures = _FIGURES * held_out_tokens(store.n_tokens) * self.steps.held_out(PROBE_WIDTH, _LATENTS)
        own = seconds - _STEPS * self.steps.step(PROBE_WIDTH, _LATENTS) - figures
        return measured("train_run", (), [max(own, seconds / 10)], device=self.device)

    def interventions(self) -> WorkTime:
        """Return how many times as long as on an ordinary core an intervention takes."""
        prompts = open_prompts(BuiltinDataset(name=_PROMPTS), self.settings).prompts
        chosen = prompts[:: max(1, len(prompts) // _EDITED_PROMPTS)]
        asked = {
            "model": MODEL,
            "criterion": "a unit of measurement is named",
            "dataset": {"kind": "inline", "prompts": [prompt.model_dump(mode="json") for prompt in chosen]},
            "units": [{"address": f"resid_post.{MIDDLE}", "index": i} for i in range(_EDITED_UNITS)],
            "dry_run": False,
        }
        request = InterveneRequest.model_validate(asked)
        with self._run("intervene") as run:
            intervene(request, run, settings=self.settings, suggest=lambda _: ())
        # the run itself has kept how long it took over what a plan says of it
        work = Work(n_prompts=_MANY, n_rows=0, macs=0.0, n_written=0)
        factor = planned_seconds(work, request.model, self.settings)[0] / work.seconds
        return measured("intervene", (), [factor], device=self.device)

    def _forward(self, length: float) -> float:
        """Return the seconds of a token in the blocks that a harvest of these runs, in texts of that length."""
        weights = BLOCK * PROBE_WIDTH**2 * self.steps.per_multiply_add(PROBE_WIDTH)
        return (MIDDLE + 1) * (weights + length * PROBE_WIDTH * self.steps.per_attended(PROBE_WIDTH))

    def _harvest(self, n_documents: int) -> _Store:
        self.check()
        (self.folder / CORPUS).write_text("\n\n".join(self._documents(n_documents)), encoding="utf-8")
        with self._run(f"harvest-{time.monotonic_ns()}") as run:
            seconds, answer = _timed(lambda: short_harvest(self.folder, run))
            store = run.written[0].relative_to(self.folder).as_posix()
        return _Store(seconds, answer.n_rows, store)

    def _documents(self, n: int) -> Iterator[str]:
        prompts = [prompt.text for prompt in open_prompts(BuiltinDataset(name=_PROMPTS), self.settings).prompts]
        draw = random.Random(0)  # noqa: S311 - not for secrets
        for _ in range(n):
            yield " ".join(draw.sample(prompts, _PER_DOCUMENT))

    def _run(self, name: str) -> LocalRun:
        return LocalRun(self.folder / name, workspace=self.folder)


def _timed(action: Callable[[], _T]) -> tuple[float, _T]:
    start = time.perf_counter()
    made = action()
    return time.perf_counter() - start, made
