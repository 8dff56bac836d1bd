# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Many edits at one address as one change of a tensor: a row per run, each with its own unit, rule and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_lab.engine.edits import Edit, Goal, Slice, Unit, Where
from interp_lab.engine.lens import Lens, Site, coordinates_at
from interp_lab.points import Address


@dataclass(frozen=True, eq=False)
class Tokens:
    """What is known of the tokens of one prompt, whatever is edited."""

    prompt: int
    """Its place in the sequence of prompts."""
    text: Bool[Tensor, " pos"]
    """Tokens that stand for text."""
    span: Bool[Tensor, " pos"]
    """Tokens in a labelled span."""

    def mask(self, where: Where) -> Bool[Tensor, " pos"]:
        """Return the tokens that `where` names before it is known where a unit is active."""
        if where == "last":
            last = torch.zeros_like(self.text)
            last[-1] = True
            return last
        return self.span if where == "span" else self.text


@dataclass(frozen=True, eq=False)
class UnitChanges:
    """Edits of units, edit `i` for row `rows[i]` of a batch; rows ascend, and a row may get several."""

    rows: Int[Tensor, " edit"]
    edits: tuple[Edit, ...]
    units: tuple[Unit, ...]
    directions: Float[Tensor, "edit width"]
    factors: Float[Tensor, "edit 5"]
    """Pull, push, grow, center and floor."""
    always: Bool[Tensor, "edit 1"]
    """Whether a token counts even where the unit is not active."""

    @classmethod
    def of(cls, rows: Sequence[int], edits: Sequence[Edit], device: torch.device) -> UnitChanges:
        """Return the edits, all of units, laid out on a device."""
        units = tuple(edit.target for edit in edits if isinstance(edit.target, Unit))
        numbers = [[e.pull, e.push, e.grow, u.center, u.floor] for e, u in zip(edits, units, strict=True)]
        return cls(
            rows=torch.tensor(list(rows), device=device),
            edits=tuple(edits),
            units=units,
            directions=torch.stack([unit.direction.to(device) for unit in units]),
            factors=torch.tensor(numbers, device=device),
            always=torch.tensor([[edit.where != "active"] for edit in edits], device=device),
        )

    def of_rows(self, rows: range) -> tuple[slice, UnitChanges]:
        """Return the edits of some neighbouring rows, counted from the first of them, and which they are."""
        own = self.rows.cpu()
        start, stop = (int(torch.searchsorted(own, bound)) for bound in (rows.start, rows.stop))
        cut = slice(start, stop)
        tensors = (self.directions[cut], self.factors[cut], self.always[cut])
        return cut, UnitChanges(self.rows[cut] - rows.start, self.edits[cut], self.units[cut], *tensors)

    def coefficients(self, values: Float[Tensor, "edit pos"], tokens: Tokens) -> Float[Tensor, "edit pos"]:
        """Return by how much each edit changes the value of its unit; `values` are those of the last tokens."""
        n_pos = values.shape[1]
        change, away = moved(values, self.factors.unsqueeze(-1).unbind(1), self._goals(tokens, n_pos).to(values))
        floor = self.factors[:, 4:]
        counted = self._mask(tokens, n_pos) & (self.always | (away.abs() > floor))
        return torch.where(counted, change, 0.0)

    def deltas(self, coefficients: Float[Tensor, "edit pos"], x: Tensor) -> Float[Tensor, "edit pos width"]:
        """Return what is added to `x` `(pos, width)`, or `(edit, pos, width)` where each edit has its own."""
        scaled = coefficients
        if any(unit.gain is not None for unit in self.units):
            scaled = coefficients * torch.stack(
                [_gain(u, x if x.ndim == 2 else x[i]) for i, u in enumerate(self.units)]
            )
        return scaled.unsqueeze(-1) * self.directions.unsqueeze(1)

    def add(self, x: Float[Tensor, "row pos width"], deltas: Float[Tensor, "edit pos width"]) -> Tensor:
        """Return `x` with each delta added to its row."""
        if len(self.rows) == len(x) and len(set(self.rows.tolist())) == len(x):
            return x + deltas.to(x.dtype)
        return x.index_add(0, self.rows, deltas.to(x.dtype))

    def _mask(self, tokens: Tokens, n_pos: int) -> Bool[Tensor, "edit pos"]:
        named: list[Where] = [edit.where for edit in self.edits]
        kinds = {where: tokens.mask(where)[-n_pos:] for where in set(named)}
        return torch.stack([kinds[where] for where in named])

    def _goals(self, tokens: Tokens, n_pos: int) -> Tensor:
        numbers = [edit.goal for edit in self.edits if isinstance(edit.goal, float | int)]
        if len(numbers) == len(self.edits):
            return torch.tensor(numbers, device=self.rows.device).unsqueeze(-1)
        return torch.stack([_last(goal_of(edit.goal, tokens), n_pos).to(self.rows.device) for edit in self.edits])


@dataclass(frozen=True, eq=False)
class SliceChange:
    """One edit of neighbouring coordinates, in one row of a batch."""

    row: int
    edit: Edit
    part: Slice

    def apply(self, x: Float[Tensor, "row pos width"], row: int, tokens: Tokens) -> None:
        """Change row `row` of `x` in place; `x` holds the last tokens of the prompt."""
        n_pos = x.shape[1]
        own = x[row, :, self.part.start : self.part.stop]
        goal = goal_of(self.edit.goal, tokens).to(own)
        whole = goal[-n_pos:] if goal.ndim == 2 else goal
        toward = torch.where(whole.isnan(), 0.0, whole - own)
        own += self.edit.pull * toward * tokens.mask(self.edit.where)[-n_pos:, None]


def moved(values: Tensor, factors: Sequence[Tensor], goal: Tensor) -> tuple[Tensor, Tensor]:
    """Return by how much values change by the rule of edits, and how far they were from rest.

    `factors` are pull, push, grow, center and floor, in the shape of the values.
    """
    pull, push, grow, center, _ = factors
    toward = torch.where(goal.isnan(), 0.0, goal - values)
    away = values - center
    return pull * toward + push + away.sign() * torch.maximum(grow, -away.abs()), away


def goal_of(goal: Goal, tokens: Tokens) -> Tensor:
    """Return a goal as a tensor: a number, a row for all tokens, or what it is for this prompt."""
    return torch.as_tensor(goal(tokens.prompt) if callable(goal) else goal)


def read_units(units: Sequence[Unit], seen: Mapping[Address, Tensor]) -> Float[Tensor, "unit pos"]:
    """Return the value of every unit at every token of one run `(pos, width)`; each site is encoded once."""
    rows: list[Tensor | None] = [None] * len(units)
    for site, places in _by_site(units).items():
        addresses = site.addresses if isinstance(site, Lens) else (site,)
        values = coordinates_at(site, {address: seen[address].unsqueeze(0) for address in addresses})[0]
        chosen = values[:, [units[place].index for place in places]].T.float()
        for place, row in zip(places, chosen, strict=True):
            rows[place] = row
    return torch.stack([row for row in rows if row is not None])


def read_each(units: Sequence[Unit], x: Float[Tensor, "unit pos width"]) -> Float[Tensor, "unit pos"]:
    """Return the value of every unit in a run of its own, of units that read one address."""
    rows = torch.zeros(x.shape[:2], device=x.device)
    for site, places in _by_site(units).items():
        address = site.addresses[0] if isinstance(site, Lens) else site
        values = coordinates_at(site, {address: x[places]})
        for place, row in zip(places, values, strict=True):
            rows[place] = row[:, units[place].index].float()
    return rows


def _by_site(units: Sequence[Unit]) -> dict[Site, list[int]]:
    found: dict[Site, list[int]] = {}
    for place, unit in enumerate(units):
        found.setdefault(unit.site, []).append(place)
    return found


def _gain(unit: Unit, x: Float[Tensor, "pos width"]) -> Float[Tensor, " pos"]:
    return x.new_ones(len(x)) if unit.gain is None else unit.gain(x)


def _last(values: Tensor, n_pos: int) -> Tensor:
    return values[-n_pos:] if values.ndim else values.expand(n_pos)
