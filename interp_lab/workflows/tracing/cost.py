"""What tracing costs, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from interp_lab.contracts.trace_paths import PathPlan, PathRequest
from interp_lab.errors import DoesNotFit
from interp_lab.machine.hardware import memory
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import macs_per_token
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import ONE_BY_ONE, Work, idle_seconds, planned_seconds, record_pace

_FLOAT = 4
_BASE = 800 * 2**20
"""Libraries."""
_PASS_TOKENS = 2048
_COPIES = 6
_CONTROL_KINDS = 2
"""Random directions, and matched latents or other coordinates."""
_BACKWARD_ROWS = 64
KIND = "paths"
"""Of runs whose speeds are kept together."""
MOST_PROMPTS, FEW_PROMPTS = 64, 8
"""Prompts of a screen that chooses, and of one that only tells how good it would be."""
_BACK, _UNEDITED, _SMALLER = 2, 3, 2.5
"""A run back beside one forward; unedited runs of a prompt, about; how much slower multiply-adds are than where prompts
share passes."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is asked for."""

    n_sources: int
    n_targets: int
    n_measured: int
    """Sources measured exactly."""
    n_prompts: int
    """Edited and compared: positives of the parts that are used."""
    n_negatives: int
    tokens: float
    """Mean tokens of a prompt."""
    screens: bool
    n_blocks: float
    """Blocks from the sources on, which run again."""


def plan(request: PathRequest, amount: Amount, facts: ModelFacts | None, settings: Settings) -> PathPlan:
    """Return what the run takes.

    Raises:
        DoesNotFit: It takes more memory than this machine has.
    """
    passes = _passes(request, amount)
    backward = _screened(amount) * amount.n_targets
    seconds, source = (None, None)
    if facts is not None:
        seconds, source = planned_seconds(work_of(request, amount, facts), request.model, settings, kind=KIND)
    peak = None if facts is None else _peak(facts, amount, math.ceil(amount.tokens))
    if peak is not None and peak > memory().total:
        raise DoesNotFit(
            f"Tracing takes up to {peak / 2**30:.1f} GiB of memory; the machine has {memory().total / 2**30:.1f}.",
            remedy="Name fewer sources and targets, or load the model with dtype 'bfloat16'.",
        )
    return PathPlan(
        n_sources=amount.n_sources,
        n_targets=amount.n_targets,
        n_measured=amount.n_measured,
        n_prompts=amount.n_prompts + amount.n_negatives,
        n_passes=passes,
        n_backward=backward,
        seconds=seconds,
        seconds_source=source,
        peak_bytes=peak,
        controls=(
            f"{request.n_controls} random directions per source, as long and scaled by its own values",
            f"{request.n_controls} matched latents per latent, or other coordinates per coordinate",
        ),
        advisories=tuple(_advisories(request, amount)),
    )


def work_of(request: PathRequest, amount: Amount, facts: ModelFacts) -> Work:
    """Return the work: edited runs from the sources on, and of a screen the same back for every target."""
    again = (macs_per_token(facts, 0) or 0) * amount.n_blocks * amount.tokens
    whole = (macs_per_token(facts, None) or 0) * amount.tokens
    passes, n_prompts = _passes(request, amount), amount.n_prompts + amount.n_negatives
    backward = _BACK * _screened(amount) * amount.n_targets
    macs = _SMALLER * ((passes + backward) * again + _UNEDITED * n_prompts * whole)
    return Work(n_prompts, passes + backward, macs, 0, speeds=ONE_BY_ONE)


def keep_pace(
    request: PathRequest, amount: Amount, facts: ModelFacts, *, settings: Settings, began: tuple[float, float]
) -> None:
    """Let the next plan know how long a run took that began then."""
    record_pace(work_of(request, amount, facts), idle_seconds(began), request.model, settings, kind=KIND)


def _passes(request: PathRequest, amount: Amount) -> int:
    twice = 2 if request.hold or request.hold_units else 1
    rows = amount.n_measured * (len(request.scales) + _CONTROL_KINDS * request.n_controls)
    return twice * (amount.n_prompts * rows + amount.n_negatives * amount.n_measured)


def _screened(amount: Amount) -> int:
    """Prompts that a screen looks at: more where it chooses among sources."""
    chooses = amount.n_sources > amount.n_measured
    return min(amount.n_prompts, MOST_PROMPTS if chooses else FEW_PROMPTS) if amount.screens else 0


def in_words(found: PathPlan, model_id: str) -> str:
    """Return the plan as one sentence."""
    time = "time unknown" if found.seconds is None else f"about {found.seconds:.0f} s"
    peak = "memory unknown" if found.peak_bytes is None else f"up to {found.peak_bytes / 2**20:.0f} MiB"
    screen = f", {found.n_backward:,} backward runs to choose" if found.n_backward else ""
    return (
        f"{found.n_sources} sources of {model_id} to {found.n_targets} targets, {found.n_measured} measured exactly: "
        f"at most {found.n_passes:,} edited runs{screen}; {time}, {peak}."
    )


def _advisories(request: PathRequest, amount: Amount) -> list[str]:
    lines: list[str] = []
    n_controls = request.n_controls * amount.n_measured
    if n_controls < 20:
        lines.append(
            f"{n_controls} random sources in all; the fewer there are, the larger a path must be. Raise n_controls."
        )
    if not request.hold and not request.hold_units:
        lines.append("Effects will be total; name hold or hold_units to have direct effects beside them.")
    return lines


def _peak(facts: ModelFacts, amount: Amount, tokens: int) -> int:
    width = 4 * facts.d_model + amount.n_targets + (facts.n_vocab or 0) // 8
    working = _COPIES * _PASS_TOKENS * width + _BACKWARD_ROWS * tokens * facts.d_model * 8
    kept = 3 * amount.n_prompts * amount.n_measured * 20 * amount.n_targets * 2
    directions = amount.n_sources * facts.d_model + amount.n_targets * tokens * facts.d_model
    return _BASE + 2 * facts.weights.n_bytes + _FLOAT * (working + kept + directions)
