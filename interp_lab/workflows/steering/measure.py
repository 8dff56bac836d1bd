# pyright: standard
"""Explore prompts choose the strength, confirm prompts compare it with controls and with an instruction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.base import Interval
from interp_lab.contracts.steer import Arm, SteerBeyond
from interp_lab.jobs.run import Run
from interp_lab.methods.causal_effect import METHOD, Contrast, contrast
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.workflows.steering.arms import Desk, Floats, Written

LEVEL = 0.95
_ENOUGH = 0.9
"""Share of the largest gain from which more strength adds little."""


@dataclass(frozen=True, eq=False)
class Half:
    """The prompts of one half that are continued."""

    prompts: tuple[TokenizedPrompt, ...]
    groups: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Explored:
    """Every strength on explore prompts."""

    plain: Written
    steered: tuple[Written, ...]
    random: tuple[Written, ...]
    best: int
    within_bound: bool

    @property
    def strength(self) -> float:
        """The strength that was chosen."""
        return self.steered[self.best].strength


@dataclass(frozen=True, eq=False)
class Confirmed:
    """The chosen strength on confirm prompts."""

    plain: Written
    steered: Written
    opposite: Written
    random: tuple[Written, ...]
    instruction: Written
    contrast: Contrast
    strain: MeanEstimate
    """Extra nats per token of steered text to the unedited model."""


def explore(desk: Desk, half: Half, run: Run) -> Explored:
    """Return what every strength does, with a random direction of the same length beside each."""
    strengths = sorted(desk.request.strengths)
    base = desk.predictions(half.prompts)
    plain = desk.write("plain", half.prompts, base=base)
    steered: list[Written] = []
    random: list[Written] = []
    for done, strength in enumerate(strengths):
        run.progress(done, len(strengths), "writing at every strength", "strengths")
        steered.append(desk.write("steered", half.prompts, strength=strength, base=base))
        random.append(desk.write("random_direction", half.prompts, strength=strength, number=done, base=base))
    limit = math.log(desk.request.perplexity_bound)
    strains = [float((each.surprise - plain.surprise).mean()) for each in steered]
    gains = [float((one.score - plain.score).mean()) for one in steered]
    chance = [max(0.0, float((one.score - plain.score).mean())) for one in random]
    order = [
        (strain <= limit, gain - by_chance) for strain, gain, by_chance in zip(strains, gains, chance, strict=True)
    ]
    best = max(range(len(strengths)), key=lambda place: (*order[place], -abs(strengths[place])))
    return Explored(plain, tuple(steered), tuple(random), best, order[best][0])


def confirm(desk: Desk, half: Half, strength: float, run: Run) -> Confirmed:
    """Return the comparison at one strength, on prompts that had no part in choosing it.

    Every random direction does something of its own, so the one that goes farthest is what has to be exceeded: their
    mean is near nothing whatever each of them does.
    """
    base = desk.predictions(half.prompts)
    run.progress(0, None, "writing on confirm prompts")
    plain = desk.write("plain", half.prompts, base=base)
    steered = desk.write("steered", half.prompts, strength=strength, base=base)
    random = tuple(
        desk.write("random_direction", half.prompts, strength=strength, number=1000 + number, base=base)
        for number in range(desk.request.n_controls)
    )
    opposite = desk.write("opposite", half.prompts, strength=strength, base=base)
    instruction = desk.write("instruction", half.prompts, base=base)
    by_chance = np.stack([each.score - plain.score for each in random])
    return Confirmed(
        plain,
        steered,
        opposite,
        random,
        instruction,
        contrast(steered.score - plain.score, by_chance, half.groups, level=LEVEL),
        clustered_mean(steered.surprise - plain.surprise, half.groups, level=LEVEL),
    )


def arm(written: Sequence[Written], plain: Written, groups: NDArray[np.intp]) -> Arm:
    """Return one arm as a record; of several texts per prompt (random directions), their mean."""
    gain = clustered_mean(_mean([w.score - plain.score for w in written]), groups, level=LEVEL)
    strain = float(_mean([w.surprise - plain.surprise for w in written]).mean())
    return Arm(
        name=written[0].name,
        strength=written[0].strength,
        score=float(_mean([w.score for w in written]).mean()),
        gain=gain.mean,
        gain_interval=Interval(low=gain.low, high=gain.high, level=LEVEL, method=gain.method),
        perplexity_ratio=math.exp(min(strain, 100.0)),
        kl=max(0.0, float(_mean([w.kl for w in written]).mean())),
        repetition=float(_mean([w.repetition for w in written]).mean()),
    )


def beyond(found: Confirmed, groups: NDArray[np.intp]) -> SteerBeyond:
    """Return the comparison that grades, and the one with the instruction."""
    one = found.contrast
    over = clustered_mean(found.steered.score - found.instruction.score, groups, level=LEVEL)
    low, high = min(one.low, one.difference), max(one.high, one.difference)
    return SteerBeyond(
        gain=one.effect.mean,
        control=one.control,
        difference=one.difference,
        difference_interval=Interval(low=low, high=high, level=LEVEL, method=METHOD),
        p_value=min(1.0, one.p),
        over_instruction=over.mean,
        over_instruction_interval=Interval(low=over.low, high=over.high, level=LEVEL, method=over.method),
    )


def saturates_at(found: Explored) -> float | None:
    """Return the smallest strength with most of the largest gain; None if nothing is gained or only the last has it."""
    gains = [float((each.score - found.plain.score).mean()) for each in found.steered]
    top = max(gains)
    if top <= 0:
        return None
    first = next(place for place, gain in enumerate(gains) if gain >= _ENOUGH * top)
    return found.steered[first].strength if first < len(gains) - 1 else None


def breaks_at(found: Explored, bound: float) -> float | None:
    """Return the strength nearest to 0 whose text is beyond the perplexity bound; None if none is."""
    limit = math.log(bound)
    broken = [each.strength for each in found.steered if float((each.surprise - found.plain.surprise).mean()) > limit]
    return min(broken, key=abs, default=None)


def _mean(rows: Sequence[Floats]) -> Floats:
    return np.mean(np.stack(rows), axis=0)
