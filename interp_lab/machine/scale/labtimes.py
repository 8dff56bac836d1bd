"""How long the lab's own work takes at any size, from what a profile measured at a few sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

from interp_lab.contracts.machine import WorkName, WorkTime

_NEEDED: frozenset[WorkName] = frozenset(
    {"forward", "train_step", "held_out", "worker_start", "harvest_run", "harvest_token", "train_run", "intervene"}
)
_SURFACES: tuple[WorkName, ...] = ("train_step", "held_out")
_SIZED: frozenset[WorkName] = frozenset({"forward", "train_dense", *_SURFACES})
_MOST = 2**31
PROBE_WIDTH = 160
"""Width of the packaged model that the short runs of a profile read."""
PROBE_K = 32
"""Active latents per token of the probes of training."""
BLOCK = 12
"""Weights of a block of a probe model, over its squared width."""


class LabTimes(NamedTuple):
    """What a profile measured of the lab's own work on one device."""

    times: tuple[WorkTime, ...]

    @classmethod
    def of(cls, work: Sequence[WorkTime], device: str) -> Self | None:
        """Return them, or None where the profile did not measure every piece there, at sizes that tell of others."""
        found = tuple(each for each in work if each.device == device)
        whole = {each.what for each in found} >= _NEEDED and all(map(_is_sized, found))
        return cls(found) if whole and all(_has_corners(found, what) for what in _SURFACES) else None

    def once(self, what: WorkName) -> float:
        """Return the time of a piece that has no size."""
        return next(each.seconds for each in self.times if each.what == what)

    def per_multiply_add(self, width: int) -> float:
        """Return the seconds of a multiply-add of a block's weights in a model of that width, attention apart."""
        return _between([(w, fixed / (BLOCK * w * w)) for w, fixed, _ in self._blocks()], width)

    def per_attended(self, width: int) -> float:
        """Return the seconds per token, block, coordinate and token that is attended to."""
        found = [(w, slope / w) for w, _, slope in self._blocks() if slope > 0]
        return _between(found, width) if found else 0.0

    def step(self, d_in: int, n_latents: int, *, k: int = PROBE_K) -> float:
        """Return the seconds of a training step that selects latents."""
        return self._surface("train_step").at(d_in, n_latents, sparse=k / PROBE_K)

    def dense_step(self, d_in: int, n_latents: int) -> float:
        """Return the seconds of a training step that computes every latent of every token.

        Between the probes and beyond them time over inputs times latents is interpolated.
        """
        found = sorted((math.prod(e.sizes), e.seconds / math.prod(e.sizes)) for e in self._all("train_dense"))
        return d_in * n_latents * _between(found, d_in * n_latents) if found else self.step(d_in, n_latents) * 6

    def held_out(self, d_in: int, n_latents: int) -> float:
        """Return the seconds that a figure takes per held-out token."""
        return self._surface("held_out").at(d_in, n_latents)

    def _all(self, what: WorkName) -> list[WorkTime]:
        return [each for each in self.times if each.what == what]

    def _surface(self, what: WorkName) -> _Surface:
        return _Surface.through(self._all(what))

    def _blocks(self) -> list[tuple[int, float, float]]:
        """Return for every width the seconds of a token in a block that do and do not grow with the text's length."""
        found: list[tuple[int, float, float]] = []
        for width in sorted({each.sizes[0] for each in self._all("forward")}):
            at = sorted((each.sizes[1], each.seconds) for each in self._all("forward") if each.sizes[0] == width)
            (short, fast), (long, slow) = at[0], at[-1]
            slope = max(0.0, (slow - fast) / max(1, long - short))
            found.append((width, max(fast - slope * short, fast / 4), slope))
        return found


def _is_sized(work: WorkTime) -> bool:
    """Whether the piece has a width and a length, inputs and latents, where these matter; a file can say anything."""
    return work.what not in _SIZED or (len(work.sizes) == 2 and all(0 < size < _MOST for size in work.sizes))


def _has_corners(found: Sequence[WorkTime], what: WorkName) -> bool:
    at = {each.sizes for each in found if each.what == what}
    sides = [sorted({sizes[i] for sizes in at}) for i in (0, 1)]
    return all(len(side) > 1 for side in sides) and {(d, n) for d in sides[0] for n in sides[1]} <= at


class _Surface(NamedTuple):
    """Seconds as `constant + by_input·d + by_latent·L + by_weight·d·L`, through the four corners of the probes."""

    constant: float
    by_input: float
    by_latent: float
    by_weight: float
    least: float

    @classmethod
    def through(cls, corners: Sequence[WorkTime]) -> Self:
        at = {(each.sizes[0], each.sizes[1]): each.seconds for each in corners}
        (d0, *_, d1), (l0, *_, l1) = (sorted({key[i] for key in at}) for i in (0, 1))
        weight = (at[d1, l1] - at[d1, l0] - at[d0, l1] + at[d0, l0]) / ((d1 - d0) * (l1 - l0))
        by_input = (at[d1, l0] - at[d0, l0]) / (d1 - d0) - weight * l0
        by_latent = (at[d0, l1] - at[d0, l0]) / (l1 - l0) - weight * d0
        constant = at[d0, l0] - by_input * d0 - by_latent * l0 - weight * d0 * l0
        return cls(constant, by_input, by_latent, weight, min(at.values()) / 4)

    def at(self, d_in: int, n_latents: int, *, sparse: float = 1.0) -> float:
        """Return the seconds; of what grows with the inputs alone, which active latents cause, `sparse` times."""
        grows = self.by_input * d_in * (sparse if self.by_input > 0 else 1.0)
        found = self.constant + grows + self.by_latent * n_latents + self.by_weight * d_in * n_latents
        return max(found, self.least)


def _between(points: Sequence[tuple[int, float]], size: float) -> float:
    """Return the value at a size: straight on logarithms between points, the nearest point beyond them."""
    if size <= points[0][0]:
        return points[0][1]
    for (low, first), (high, second) in pairwise(points):
        if size <= high:
            share = math.log(size / low) / math.log(high / low)
            return math.exp(math.log(first) + share * (math.log(second) - math.log(first)))
    return points[-1][1]
