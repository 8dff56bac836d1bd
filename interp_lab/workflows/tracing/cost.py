"""What tracing costs, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from interp_lab.contracts.path_report import HowScreened
from interp_lab.contracts.trace_paths import PathPlan, PathRequest
from interp_lab.errors import DoesNotFit
from interp_lab.machine.hardware import memory
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import macs_per_token
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import (
    LIBRARIES,
    ONE_BY_ONE,
    Work,
    idle_seconds,
    kernel_bytes,
    planned_seconds,
    record_pace,
)

_FLOAT = 4
_PASS_TOKENS = 2048
_COPIES = 6
_CONTROL_KINDS = 2
"""Random directions, and matched latents or other coordinates."""
_BACKWARD_ROWS = 64
KIND = "paths"
"""Of runs whose speeds are kept together."""
MOST_PROMPTS, FEW_PROMPTS = 64, 8
"""Prompts of a screen that chooses, and of one that only tells how good it would be."""
N_DRAWN = 64
"""Sources drawn at random whose exact effects tell how far estimates are off."""
_WORTH = 4
"""Exact effects choose where they take at most so many times the runs of everything else."""
_FIRES, _FIRE_PER_TOKEN = 0.2, 16
"""Share of latents that a prompt makes active, and how many at most per token, about."""
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
    screen: Literal["auto", "exact", "gradient"] | None
    """What chooses among sources, as asked; None for claims, which are all measured."""
    n_blocks: float
    """Blocks from the sources on, which run again."""
    are_latents: bool = False
    """Sources are the latents of a dictionary, of which a prompt makes few active."""


def plan(request: PathRequest, amount: Amount, facts: ModelFacts | None, settings: Settings) -> PathPlan:
    """Return what the run takes.

    Raises:
        DoesNotFit: It takes more memory than this machine has.
    """
    passes = _passes(request, amount)
    backward = _estimated(request, amount) * amount.n_targets
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
        screen=how_screened(request, amount, likely_active(amount)),
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
    passes = _edits(request, amount) + _compared(request, amount, likely_active(amount))
    n_prompts = amount.n_prompts + amount.n_negatives
    backward = _BACK * _estimated(request, amount) * amount.n_targets
    macs = _SMALLER * ((passes + backward) * again + _UNEDITED * n_prompts * whole)
    return Work(n_prompts, passes + backward, macs, 0, speeds=ONE_BY_ONE)


def keep_pace(
    request: PathRequest, amount: Amount, facts: ModelFacts, *, settings: Settings, began: tuple[float, float]
) -> None:
    """Let the next plan know how long a run took that began then."""
    record_pace(work_of(request, amount, facts), idle_seconds(began), request.model, settings, kind=KIND)


def how_screened(request: PathRequest, amount: Amount, n_active: float) -> HowScreened | None:
    """Return what chooses among the sources, of which so many are active on a prompt; None if all are measured."""
    if amount.screen is None or amount.n_sources <= amount.n_measured:
        return None
    if amount.screen != "auto":
        return amount.screen
    return "exact" if not amount.are_latents or n_active <= affordable(request, amount) else "gradient"


def affordable(request: PathRequest, amount: Amount) -> int:
    """Return up to how many active sources of a prompt exact effects of all of them are worth it."""
    return _WORTH * (_BACK * amount.n_targets + _rows(request, amount))


def likely_active(amount: Amount) -> float:
    """Return how many sources a prompt makes active, about; only a run can count them."""
    if not amount.are_latents:
        return amount.n_sources
    return min(_FIRES * amount.n_sources, _FIRE_PER_TOKEN * amount.tokens)


def _passes(request: PathRequest, amount: Amount) -> int:
    most = amount.n_sources if amount.screen == "exact" else min(amount.n_sources, affordable(request, amount))
    return _edits(request, amount) + _compared(request, amount, most)


def _rows(request: PathRequest, amount: Amount) -> int:
    return amount.n_measured * (len(request.scales) + _CONTROL_KINDS * request.n_controls)


def _edits(request: PathRequest, amount: Amount) -> int:
    twice = 2 if request.hold or request.hold_units else 1
    return twice * (amount.n_prompts * _rows(request, amount) + amount.n_negatives * amount.n_measured)


def _compared(request: PathRequest, amount: Amount, n_active: float) -> int:
    """Edited runs that choose, with so many active sources on a prompt."""
    how = how_screened(request, amount, likely_active(amount))
    each = {None: 0.0, "exact": n_active, "gradient": min(n_active, amount.n_measured + N_DRAWN)}[how]
    return math.ceil(min(amount.n_prompts, MOST_PROMPTS) * each)


def _estimated(request: PathRequest, amount: Amount) -> int:
    """Prompts of which gradients are taken: more where they choose among sources."""
    if amount.screen is None:
        return 0
    chooses = how_screened(request, amount, likely_active(amount)) == "gradient"
    return min(amount.n_prompts, MOST_PROMPTS if chooses else FEW_PROMPTS)


def in_words(found: PathPlan, model_id: str) -> str:
    """Return the plan as one sentence."""
    time = "time unknown" if found.seconds is None else f"about {found.seconds:.0f} s"
    peak = "memory unknown" if found.peak_bytes is None else f"up to {found.peak_bytes / 2**20:.0f} MiB"
    chosen = {"exact": ", chosen by exact effects of all", "gradient": ", chosen by gradients", None: ""}[found.screen]
    screen = f", {found.n_backward:,} backward runs" if found.n_backward else ""
    ends = f"{_counted(found.n_sources, 'source')} of {model_id} to {_counted(found.n_targets, 'target')}"
    return (
        f"{ends}, {found.n_measured} measured in full{chosen}: at most {found.n_passes:,} edited runs{screen}; "
        f"{time}, {peak}."
    )


def _counted(n: int | None, word: str) -> str:
    return f"an unknown number of {word}s" if n is None else counted(n, word, f"{word}s")


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
    return LIBRARIES + kernel_bytes(facts.d_model) + facts.weights.n_bytes + _FLOAT * (working + kept + directions)
