# pyright: standard
"""The loop: every batch to every dictionary that is not finished, with figures, checkpoints and early stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp_lab.artifacts.checkpoints import Checkpoint
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.dictionaries.training.metrics import StepMetrics
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.errors import TrainingDiverged
from interp_lab.jobs.run import Run
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.workflows.training.feed import Feed, Position, Values, joined
from interp_lab.workflows.training.heldout import HeldOutFigures, measure
from interp_lab.workflows.training.plan import Planned, columns_of
from interp_lab.workflows.training.state import MOST_LINES, RunState

CHECKPOINT_S = 60.0
"""Seconds of work that a crash may cost."""
_FIGURES = ("loss", "fvu", "l0", "dead_fraction", "learning_rate", "gradient_norm")
_STATE = "state.json"

Start = Callable[[Trainer, Tensor, Tensor | None], None]
"""Prepares a trainer before its first batch; of several processes, all alike."""


@dataclass(eq=False)
class Loop:
    """One training run."""

    request: TrainSaeRequest
    dictionaries: Sequence[Planned]
    trainers: Mapping[str, Trainer]
    feed: Feed
    run: Run
    rows: slice = field(default_factory=lambda: slice(None))
    """Which rows of a batch this process trains on."""
    start: Start | None = None
    leads: bool = True
    """Whether this process keeps checkpoints; of several that train together, one does."""

    def __post_init__(self) -> None:
        self.state = RunState.fresh(tuple(each.name for each in self.dictionaries))
        self.total_steps = self.dictionaries[0].training.total_steps
        self._batch_tokens = self.dictionaries[0].training.batch_tokens
        self._windows = {each.name: each.training.dead_window_tokens for each in self.dictionaries}
        self._saved_at = time.monotonic()
        checkpoint = self.run.checkpoints.latest()
        if checkpoint is not None:
            self._load(checkpoint)

    def train(self) -> None:
        """Train until every dictionary has seen its tokens or stopped improving.

        Raises:
            TrainingDiverged: A number is not finite; the step and the dictionary are named.
        """
        state = self.state
        if self._finished():
            return
        keys = columns_of(tuple(self.dictionaries))
        batches = self.feed.batches(keys, self._batch_tokens, Position(state.epoch, state.batch))
        for position, values in batches:
            metrics = self._step(values)
            state.step += 1
            state.epoch, state.batch = position
            self._note(metrics)
            self._evaluate_if_due()
            self._report(metrics)
            if self._finished():
                return
            if time.monotonic() - self._saved_at > CHECKPOINT_S:
                self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        if not self.leads:
            return
        with self.run.checkpoints.save(self.state.step) as folder:
            for place, each in enumerate(self.dictionaries):
                tensors = {n: t.contiguous() for n, t in self.trainers[each.name].state_dict(copy=False).items()}
                save_file(tensors, folder / f"trainer-{place}.safetensors")
            (folder / _STATE).write_bytes(self.state.saved())
        self._saved_at = time.monotonic()

    def figures(self, planned: Planned) -> HeldOutFigures:
        """Return how a dictionary does on held-out prompts now."""
        keys = (*planned.reads, *planned.writes)
        return measure(self.trainers[planned.name].dictionary(), planned, self.feed.held_out(keys))

    def _load(self, checkpoint: Checkpoint) -> None:
        self.state = RunState.loaded((checkpoint.folder / _STATE).read_bytes())
        for place, each in enumerate(self.dictionaries):
            self.trainers[each.name].load_state_dict(load_file(checkpoint.folder / f"trainer-{place}.safetensors"))

    def _finished(self) -> bool:
        return self.state.step >= self.total_steps or all(each.done for each in self.state.dictionaries.values())

    def _step(self, values: Values) -> dict[str, StepMetrics]:
        found: dict[str, StepMetrics] = {}
        for each in self.dictionaries:
            known = self.state.dictionaries[each.name]
            if known.done:
                continue
            trainer = self.trainers[each.name]
            x, target = joined(values, each)
            began = time.perf_counter()
            try:
                if self.start is not None and not trainer.started:
                    self.start(trainer, x, target)
                metrics = trainer.step(x[self.rows], None if target is None else target[self.rows])
            except TrainingDiverged as error:
                raise TrainingDiverged(f"{each.name}: {error.what}", remedy=error.remedy) from error
            spent = known.seconds + time.perf_counter() - began
            tokens = known.tokens + len(x)
            self.state.update(each.name, seconds=spent, tokens=tokens, dead_fraction=metrics.dead_fraction)
            found[each.name] = metrics
        return found

    def _note(self, metrics: Mapping[str, StepMetrics]) -> None:
        every = max(1, math.ceil(self.total_steps / MOST_LINES))
        if self.state.step % every and self.state.step != self.total_steps:
            return
        alone = len(self.dictionaries) == 1
        line: dict[str, float] = {"tokens": float(self.state.step * self._batch_tokens)}
        for name, figures in metrics.items():
            prefix = "" if alone else f"{name}/"
            known = self.state.dictionaries[name]
            # before its window of tokens has passed, no latent can count as dead: a zero would say that none is
            early = known.tokens <= self._windows[name]
            shown = (figure for figure in _FIGURES if not (early and figure == "dead_fraction"))
            line |= {f"{prefix}{figure}": float(getattr(figures, figure)) for figure in shown}
            line[f"{prefix}tokens_per_s"] = round(known.tokens / known.seconds, 1) if known.seconds else math.nan
        self._keep(line)

    def _keep(self, line: Mapping[str, float]) -> None:
        self.run.record(self.state.step, line)
        self.state.add_line({name: value for name, value in line.items() if math.isfinite(value)})

    def _evaluate_if_due(self) -> None:
        every = max(1, self.total_steps // self.request.evaluations)
        if self.state.step % every and self.state.step != self.total_steps:
            return
        line = {"tokens": float(self.state.step * self._batch_tokens)}
        for each in self.dictionaries:
            if not self.state.dictionaries[each.name].done:
                fvu = self.figures(each).fvu.ratio
                line["held_out_fvu" if len(self.dictionaries) == 1 else f"{each.name}/held_out_fvu"] = fvu
                self._judge(each.name, fvu)
        self._keep(line)

    def _judge(self, name: str, fvu: float) -> None:
        known, rule = self.state.dictionaries[name], self.request.early_stop
        least = rule.least_improvement if rule is not None else 0.0
        better = known.best is None or fvu < known.best - least
        stale = 0 if better else known.stale + 1
        self.state.update(
            name,
            evaluations=(*known.evaluations, (known.tokens, fvu)),
            best=fvu if better else known.best,
            stale=stale,
            done=rule is not None and stale >= rule.patience,
        )

    def _report(self, metrics: Mapping[str, StepMetrics]) -> None:
        """Say how far the work is; when the process is to end, keep the work first."""
        name, first = next(iter(metrics.items()))
        whose = "" if len(self.dictionaries) == 1 else f" ({name}, first of {len(metrics)} in training)"
        message = f"step {self.state.step}: loss {first.loss:.4g}, FVU {first.fvu:.3f}, L0 {first.l0:.1f}{whose}"
        total = self.total_steps * self._batch_tokens
        try:
            self.run.progress(min(self.state.step * self._batch_tokens, total), total, message, "tokens")
        except InterruptedJob:
            self.save()
            raise


def make_trainers(dictionaries: Sequence[Planned], device: torch.device) -> dict[str, Trainer]:
    """Return a trainer for each dictionary."""
    return {each.name: Trainer(each.config, each.training, device=device) for each in dictionaries}
