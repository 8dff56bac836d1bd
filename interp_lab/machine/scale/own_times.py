"""How long each stage takes where the lab's own work was measured: every part of it by its own formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from interp_lab.contracts.plan_scale import BoundBy, PlanScaleRequest, Stage, StageTime
from interp_lab.contracts.sizes import time_in_words
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.machine.scale.costs import BATCH_TOKENS, DENSE, Costs
from interp_lab.machine.scale.labtimes import PROBE_WIDTH, LabTimes

SPREAD = 1.3
"""Estimates from probes are to lie within this factor of what runs take."""
_CHECKPOINT_S = 60
"""Seconds of steps and figures between checkpoints of a training."""
_SAVED = 0.75
"""Share of weights, gradients and moments that a checkpoint holds: all but gradients."""
_PROBED_BYTES = 2 * PROBE_WIDTH + 24
"""What the short harvest of a profile wrote per token; its time is in that of a token."""


class Earlier(NamedTuple):
    """What earlier runs took."""

    value: float
    told: str


class Learned(NamedTuple):
    """What earlier runs of the same model, or of a dictionary about as large, took on this machine."""

    token: Earlier | None = None
    """Seconds of a token of a harvest in the model."""
    step: Earlier | None = None
    """Seconds of a training step."""
    edits: Earlier | None = None
    """How many times as long as on an ordinary core interventions took."""


NOTHING_LEARNED: Final = Learned()


class Machine(NamedTuple):
    """What is known of it."""

    times: LabTimes
    write_bytes_per_s: float
    learned: Learned = NOTHING_LEARNED


class _Parts(NamedTuple):
    """Seconds of one stage by what it waits for, and the words for them."""

    seconds: Mapping[BoundBy, float]
    words: str


def own_times(request: PlanScaleRequest, costs: Costs, machine: Machine) -> Iterator[StageTime]:
    """Yield the time of every stage; network apart."""
    yield _stage("harvest", _harvest(request, costs, machine))
    yield _stage("train", _training(request, costs, machine))
    if request.units:
        yield _stage("interventions", _interventions(costs, machine))


def n_figures(n_steps: int) -> int:
    """Return how often a training computes held-out figures: on the way, at its end and when it publishes."""
    every = max(1, n_steps // int(TrainSaeRequest.model_fields["evaluations"].default))
    return -(-n_steps // every) + 1


def held_out_tokens(tokens: int) -> int:
    """Return how many tokens of a store a figure is computed on."""
    share, most = (TrainSaeRequest.model_fields[name].default for name in ("held_out", "held_out_tokens"))
    return int(min(most, share * tokens))


def _harvest(request: PlanScaleRequest, costs: Costs, machine: Machine) -> _Parts:
    times, shape = machine.times, costs.shape
    weights = costs.depth * shape.active * times.per_multiply_add(shape.d_model)
    attended = costs.depth * shape.n_layers * shape.d_model * request.context * times.per_attended(shape.d_model)
    text = times.once("harvest_token")
    start = times.once("worker_start") + times.once("harvest_run")
    more = 0.0 if costs.stream else max(0.0, costs.kept_bytes - request.tokens * _PROBED_BYTES)
    parts: dict[BoundBy, float] = {
        "start": start,
        "text": request.tokens * text,
        "arithmetic": request.tokens * (weights + attended),
        "disk": more / machine.write_bytes_per_s,
    }
    if machine.learned.token is not None:
        seconds, told = machine.learned.token
        parts |= {"arithmetic": request.tokens * seconds}
        each = f"{_short(text)} of text + {_short(seconds)} in the model"
        told = f"{_written(parts['disk'])}; the model as in {told}"
        return _Parts(parts, f"{_short(start)} + {request.tokens:,} tokens × ({each}){told}")
    each = f"{_short(text)} of text + {_short(weights)} of weights + {_short(attended)} of attention"
    words = f"{_short(start)} + {request.tokens:,} tokens × ({each}){_written(parts['disk'])}"
    return _Parts(parts, words)


def _training(request: PlanScaleRequest, costs: Costs, machine: Machine) -> _Parts:
    times, d_in, n_latents = machine.times, costs.shape.d_model, costs.n_latents
    n = costs.n_dictionaries
    n_steps = -(-(request.train_tokens or request.tokens) // BATCH_TOKENS)
    dense = request.architecture in DENSE
    step, told = machine.learned.step or (
        times.dense_step(d_in, n_latents) if dense else times.step(d_in, n_latents, k=request.k),
        "",
    )
    tokens, figures = held_out_tokens(request.tokens), n_figures(n_steps)
    each = times.held_out(d_in, n_latents)
    start = times.once("worker_start") + times.once("train_run")
    computed = n * (n_steps * step + figures * tokens * each)
    checkpoints = min(n_steps, computed // _CHECKPOINT_S)
    saved = costs.training_bytes * (1 + _SAVED * checkpoints)
    parts: dict[BoundBy, float] = {
        "start": start,
        "arithmetic": n * n_steps * step,
        "figures": n * figures * tokens * each,
        "disk": saved / machine.write_bytes_per_s,
    }
    words = (
        f"{_short(start)} + {n} × ({n_steps:,} steps × {_short(step)} + {figures} figures × {tokens:,} tokens × "
        f"{_short(each)}){_written(parts['disk'])}{f'; steps as in {told}' if told else ''}"
    )
    return _Parts(parts, words)


def _interventions(costs: Costs, machine: Machine) -> _Parts:
    times, edits = machine.times, costs.edits
    start = times.once("worker_start")
    slower = times.per_multiply_add(costs.shape.d_model) / times.per_multiply_add(PROBE_WIDTH)
    factor, told = times.once("intervene"), ""
    if machine.learned.edits is not None:
        slower, (factor, told) = 1.0, machine.learned.edits
    parts: dict[BoundBy, float] = {
        "start": start + factor * edits.fixed_seconds,
        "arithmetic": factor * edits.arithmetic_seconds * slower,
    }
    words = (
        f"{_short(start)} + {factor:.3g} × ({_short(edits.fixed_seconds)} of runs and prompts + "
        f"{_short(edits.arithmetic_seconds)} of arithmetic on an ordinary core × {slower:.2g} at this width)"
        f"{f', as in {told}' if told else ''}"
    )
    return _Parts(parts, words)


def _short(seconds: float) -> str:
    """Return a time of any length with three digits."""
    if seconds >= 90:
        return time_in_words(seconds)
    unit, factor = ("s", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
    return f"{factor * seconds:.3g} {unit}"


def _written(seconds: float) -> str:
    return f" + {time_in_words(seconds)} to write" if seconds >= 1 else ""


def _stage(stage: Stage, parts: _Parts) -> StageTime:
    seconds = sum(parts.seconds.values())
    return StageTime(
        stage=stage,
        seconds=seconds,
        low=seconds / SPREAD,
        high=seconds * SPREAD,
        bound_by=max(parts.seconds, key=lambda name: parts.seconds[name]),
        basis=f"short runs of profile_env: {parts.words}",
    )
