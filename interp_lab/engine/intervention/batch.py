# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The variants of one group as rows of a batch: laid out once, given a prompt's values, then applied by hooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.edits import Edit, Slice, Variant
from interp_lab.engine.intervention.changes import SliceChange, Tokens, UnitChanges, read_each, read_units
from interp_lab.engine.intervention.order import Group, is_live, writable
from interp_lab.engine.intervention.replace import register
from interp_lab.engine.intervention.resume import BaseRun
from interp_lab.engine.sites import Place
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


@dataclass(frozen=True, eq=False)
class AtAddress:
    """Everything that a group does at one address."""

    place: Place
    known: UnitChanges | None
    """Edits whose starting values are those of the unedited run."""
    live: UnitChanges | None
    """Edits whose starting values depend on earlier edits."""
    slices: tuple[SliceChange, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """A group of variants, independent of any prompt."""

    group: Group
    at: dict[Address, AtAddress]
    deepest: int
    """Deepest block that is edited."""

    @classmethod
    def of(cls, loaded: LoadedModel, variants: Sequence[Variant], group: Group) -> Layout:
        """Return the layout of a group of checked variants."""
        rows = [(row, variants[number]) for row, number in enumerate(group.members)]
        flat = [(row, edit, is_live(edit, variant)) for row, variant in rows for edit in variant.edits]
        addresses = dict.fromkeys(edit.target.writes for _, edit, _ in flat)
        deepest = max(-1 if address.layer is None else address.layer for address in addresses)
        if any(address.point == "module" for address in addresses):
            deepest = len(loaded.blocks)
        return cls(group, {address: _at(loaded, address, flat) for address in addresses}, deepest)

    def begin(self, base: BaseRun, tokens: Tokens) -> Batch:
        """Return the batch for one prompt."""
        batch = Batch(self, base, tokens)
        for address, here in self.at.items():
            if here.known is not None:
                values = read_units(here.known.units, base.seen)
                batch.take(address, here.known, here.known.coefficients(values, tokens))
            if here.live is not None:
                batch.touch(here.live.edits, here.live.rows.tolist())
            batch.touch([change.edit for change in here.slices], [change.row for change in here.slices])
        return batch


@dataclass(eq=False)
class Batch:
    """A layout with the values of one prompt."""

    layout: Layout
    base: BaseRun
    tokens: Tokens
    coefficients: dict[Address, Float[Tensor, "edit pos"]] = field(default_factory=dict)
    dose: Tensor = field(init=False)
    size: Tensor = field(init=False)
    unchanged: Bool[Tensor, " row"] = field(init=False)
    """Rows in which nothing is changed."""
    _edited: Bool[Tensor, " pos"] = field(init=False)

    def __post_init__(self) -> None:
        self.dose, self.size = torch.zeros(2, self.n_rows, device=self.base.ids.device)
        self._edited = torch.zeros_like(self.base.ids, dtype=torch.bool)
        self.unchanged = torch.ones(self.n_rows, dtype=torch.bool, device=self.base.ids.device)

    @property
    def n_rows(self) -> int:
        """Variants."""
        return len(self.layout.group.members)

    @property
    def first_position(self) -> int:
        """The first token that any variant changes; the last one if none changes any."""
        places = self._edited.nonzero()
        return int(places[0]) if len(places) else len(self._edited) - 1

    def take(self, address: Address, changes: UnitChanges, coefficients: Tensor) -> None:
        """Keep the coefficients of edits, and what they amount to."""
        self.coefficients[address] = coefficients
        changes_any = coefficients != 0
        self._edited |= changes_any.any(0)
        self.unchanged[changes.rows[changes_any.any(1)]] = False
        self.dose.index_add_(0, changes.rows, coefficients.sum(1))
        x = self.base.seen[address].float()
        gains = changes.deltas(coefficients, x).norm(dim=2) if _has_gain(changes) else None
        lengths = coefficients.abs() * changes.directions.norm(dim=1, keepdim=True) if gains is None else gains
        relative = lengths / x.norm(dim=1).clamp(min=1e-30)
        self.size.scatter_reduce_(0, changes.rows, relative.amax(1), "amax")

    def touch(self, edits: Sequence[Edit], rows: Sequence[int]) -> None:
        """Note the tokens of edits whose coefficients are not known before the run."""
        for edit, row in zip(edits, rows, strict=True):
            self._edited |= self.tokens.mask(edit.where)
            if edit.pull or edit.push or edit.grow:
                self.unchanged[row] = False
            if isinstance(edit.target, Slice):
                self.dose[row] = -1.0 if edit.kind in ("ablate", "suppress") else 1.0


class Segment(NamedTuple):
    """Neighbouring rows of a batch that take part in one pass, with the tokens of the prompt from `begin` on."""

    batch: Batch
    rows: range
    begin: int


@contextmanager
def applied(segments: Sequence[Segment]) -> Iterator[None]:
    """Edit runs of these rows, segment after segment, all of one layout."""
    handles: list[Any] = []
    try:
        for address, here in segments[0].batch.layout.at.items():
            handles.append(register(here.place, _Change(segments, address)))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Change:
    """What happens to the tensor at one address in one pass."""

    def __init__(self, segments: Sequence[Segment], address: Address) -> None:
        self._address = address
        self._parts = [_Part(segment, address) for segment in segments]
        self._n_rows = [len(segment.rows) for segment in segments]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the edited tensor."""
        flat = x.ndim == 2
        wide = x.unflatten(0, (sum(self._n_rows), -1)) if flat else x
        if len(self._parts) == 1:
            edited = self._parts[0].edited(wide)
        else:
            each = zip(self._parts, wide.split(self._n_rows), strict=True)
            edited = torch.cat([part.edited(own) for part, own in each])
        return edited.flatten(0, 1) if flat else edited


class _Part:
    """The rows of one segment at one address."""

    def __init__(self, segment: Segment, address: Address) -> None:
        self._batch, self._rows, self._begin = segment
        self._address = address
        self._here = self._batch.layout.at[address]

    def edited(self, x: Tensor) -> Tensor:
        """Return the rows with their edits."""
        batch, rows, here = self._batch, self._rows, self._here
        edited = x
        cut, known = (None, None) if here.known is None else here.known.of_rows(rows)
        if known is not None and known.edits:
            coefficients = batch.coefficients[self._address][cut, self._begin :]
            edited = known.add(edited, known.deltas(coefficients, batch.base.seen[self._address][self._begin :]))
        live = None if here.live is None else here.live.of_rows(rows)[1]
        if live is not None and live.edits:
            own = x[live.rows]
            edited = live.add(edited, live.deltas(live.coefficients(read_each(live.units, own), batch.tokens), own))
        inside = [change for change in here.slices if change.row in rows]
        if inside:
            edited = edited.clone()
            for change in inside:
                change.apply(edited, change.row - rows.start, batch.tokens)
        return edited


def _at(loaded: LoadedModel, address: Address, flat: Sequence[tuple[int, Edit, bool]]) -> AtAddress:
    here = [(row, edit, live) for row, edit, live in flat if edit.target.writes == address]
    slices = [SliceChange(row, e, e.target) for row, e, _ in here if isinstance(e.target, Slice)]
    units = [entry for entry in here if not isinstance(entry[1].target, Slice)]
    known = [(row, edit) for row, edit, live in units if not live]
    later = [(row, edit) for row, edit, live in units if live]
    return AtAddress(writable(loaded, address), _laid_out(loaded, known), _laid_out(loaded, later), tuple(slices))


def _laid_out(loaded: LoadedModel, chosen: Sequence[tuple[int, Edit]]) -> UnitChanges | None:
    if not chosen:
        return None
    return UnitChanges.of([row for row, _ in chosen], [edit for _, edit in chosen], loaded.device)


def _has_gain(changes: UnitChanges) -> bool:
    return any(unit.gain is not None for unit in changes.units)
