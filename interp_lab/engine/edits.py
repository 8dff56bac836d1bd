# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Edits as data: which unit of a model is changed, to what, how far, and at which tokens. Nothing runs here.

Every edit of a unit with one value is a special case of one rule, so that many different ones share a pass:
new = old + pull·(goal − old) + push + sign(old − center)·max(grow, −|old − center|), where center is the unit's resting
value. All factors zero means that nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.lens import Lens, Site
from interp_lab.errors import ImpossibleEdit
from interp_lab.points import Address

EditKind = Literal["ablate", "suppress", "amplify", "clamp", "steer", "patch"]
Where = Literal["all", "last", "active", "span"]
"""Every token that stands for text; the last token; tokens at which the unit is active; tokens of a labelled span."""

Goal = float | Tensor | Callable[[int], Tensor]
"""What a value is pulled to: a number, one row for all tokens, or by prompt `(pos,)` or `(pos, width)`; NaN leaves a
token alone."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One value per token, and what a change of it by 1 adds: the delta goes along the direction, all else stays."""

    key: str
    site: Site
    """Where the value is read."""
    index: int
    """Which coordinate of the site it is."""
    writes: Address
    """Where the change is added."""
    direction: Float[Tensor, " width"]
    gain: Callable[[Float[Tensor, "token width"]], Float[Tensor, " token"]] | None = None
    """Factor per token from what is written to, for dictionaries that normalise each token; None means 1."""
    center: float = 0.0
    floor: float = 0.0
    """It rests at `center` (0 for a latent) and counts as active where its value is farther from it than `floor`."""

    @property
    def reads(self) -> tuple[Address, ...]:
        """The addresses that the value depends on."""
        return self.site.addresses if isinstance(self.site, Lens) else (self.site,)


@dataclass(frozen=True, eq=False)
class Slice:
    """Neighbouring coordinates of an address taken together: a head's part of z, or all of it."""

    key: str
    writes: Address
    start: int
    stop: int

    @property
    def reads(self) -> tuple[Address, ...]:
        """The address itself."""
        return (self.writes,)


Target = Unit | Slice


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of one target, in the form of the rule above."""

    target: Target
    kind: EditKind
    where: Where = "all"
    pull: float = 0.0
    goal: Goal = 0.0
    push: float = 0.0
    grow: float = 0.0


@dataclass(frozen=True, eq=False)
class Variant:
    """Edits that are made together in one run of the model."""

    key: str
    edits: tuple[Edit, ...]


def coordinate(address: Address, index: int, width: int) -> Unit:
    """Return one dimension of an address as a unit."""
    direction = torch.zeros(width)
    direction[index] = 1.0
    return Unit(f"{address} #{index}", address, index, address, direction)


def directions(address: Address, vectors: Float[Tensor, "n width"], keys: Sequence[str]) -> tuple[Unit, ...]:
    """Return the unit vectors along `vectors` as units; the value is the coordinate along each."""
    rows = vectors / vectors.norm(dim=1, keepdim=True)

    def encode(x: Float[Tensor, "token width"]) -> Float[Tensor, "token n"]:
        return x @ rows.to(x).T

    lens = Lens(f"{address}/directions", (address,), encode)
    return tuple(Unit(key, lens, place, address, rows[place]) for place, key in enumerate(keys))


def head(address: Address, number: int, d_head: int) -> Slice:
    """Return the part of an address that belongs to one head."""
    return Slice(f"{address} head {number}", address, number * d_head, (number + 1) * d_head)


def ablate(target: Target, *, to: Goal = 0.0, strength: float = 1.0, where: Where = "all") -> Edit:
    """Return the edit that moves the value by the share `strength` of the way to `to`."""
    return Edit(target, "ablate", where, pull=strength, goal=to)


def suppress(target: Target, step: float, *, where: Where = "all") -> Edit:
    """Return the edit that brings the value nearer to rest by `step`, never past it; of a slice, by that share."""
    if isinstance(target, Slice):
        return Edit(target, "suppress", where, pull=step)
    return Edit(target, "suppress", where, grow=-step)


def amplify(target: Target, step: float, *, where: Where = "all") -> Edit:
    """Return the edit that brings a value not at rest farther from it by `step`; of a slice, by that share."""
    if isinstance(target, Slice):
        return Edit(target, "amplify", where, pull=-step)
    return Edit(target, "amplify", where, grow=step)


def clamp(target: Target, value: float, *, strength: float = 1.0, where: Where = "all") -> Edit:
    """Return the edit that holds the value at `value`, or moves it by the share `strength` of the way."""
    return Edit(_single(target, "clamp"), "clamp", where, pull=strength, goal=value)


def steer(target: Target, step: float, *, where: Where = "all") -> Edit:
    """Return the edit that adds `step` to the value, whatever it is."""
    return Edit(_single(target, "steer"), "steer", where, push=step)


def patch(target: Target, values: Goal, *, strength: float = 1.0, where: Where = "all") -> Edit:
    """Return the edit that gives the target the values it has in another run."""
    return Edit(target, "patch", where, pull=strength, goal=values)


def _single(target: Target, kind: str) -> Unit:
    if isinstance(target, Slice):
        raise ImpossibleEdit(f"{target.key} has many values, so it cannot be told to {kind}.")
    return target
