# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Exact effects of many edits of sources on many targets: one pass per edit serves every target.

An edit adds `scale` times the source's own value, token by token, along its decoder: -1 removes it, 1 doubles it. The
rest of the activation, dictionary errors included, stays as it is. Of what arrives at a target, the part that the
residual stream merely passes along is computed apart, by adding the same change to the unedited target activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.edits import Unit
from interp_lab.engine.intervention.changes import read_units
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.resume import BaseRun, base_run
from interp_lab.engine.paths.freeze import Held, Part, holding, noting
from interp_lab.engine.paths.readout import Pool, Readout, weights_of
from interp_lab.engine.paths.segment import (
    Tap,
    depth_of,
    passes_along,
    reader,
    refuse_without_stream,
    run_rows,
    start_of,
    whole_place,
)
from interp_lab.errors import ImpossiblePath
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

CPU_TOKENS = 2048
"""Tokens of one pass on a processor."""
ACCELERATOR_TOKENS = 32_768


@dataclass(frozen=True, eq=False)
class Push:
    """One edit of one source: `scale` times (value less its center) is added along its direction."""

    unit: Unit
    scale: float


@dataclass(frozen=True, eq=False)
class Route:
    """What is measured: from where, to which targets, and what is held in the direct passes."""

    source: Address
    readouts: tuple[Readout, ...]
    pool: Pool = "mean"
    behaviour: Behaviour | None = None
    """Read at the end of the model, logit difference as the last target; None ends passes at the last target."""
    hold: frozenset[Part] = frozenset()
    hold_units: tuple[Unit, ...] = ()
    """Units in between whose change is taken back along their directions."""

    @property
    def has_direct(self) -> bool:
        """Whether anything is held, so that direct and total effects differ."""
        return bool(self.hold or self.hold_units)

    @property
    def n_targets(self) -> int:
        """Targets, the behaviour included."""
        return sum(len(readout.indices) for readout in self.readouts) + (self.behaviour is not None)


@dataclass(frozen=True, eq=False)
class Effects:
    """What every edit did to one prompt."""

    base: Float[Tensor, " target"]
    """Unedited targets, pooled."""
    total: Float[Tensor, "push target"]
    passed: Float[Tensor, "push target"]
    """What the residual stream alone passes along."""
    direct: Float[Tensor, "push target"] | None
    """Total effect with the named parts held; None if nothing is."""
    size: Float[Tensor, " push"]
    """Length of the change over all tokens."""
    relative: Float[Tensor, " push"]
    """Length of the change over that of what it is added to, at the token where that is largest."""

    @property
    def mediated(self) -> Float[Tensor, "push target"]:
        """What the blocks in between make of the change."""
        return self.total - self.passed


class PathRunner:
    """Edits prepared for one model; call it prompt by prompt."""

    def __init__(
        self, loaded: LoadedModel, pushes: Sequence[Push], route: Route, *, token_budget: int | None = None
    ) -> None:
        """Check the route against the model.

        Raises:
            ImpossiblePath: Targets do not come after the source, or the model's stream is not a sum.
            HookPointUnavailable, LayerOutOfRange: The model does not have a place.
        """
        check_route(loaded, route, [push.unit for push in pushes])
        self._loaded, self._route, self._pushes = loaded, route, tuple(pushes)
        default = CPU_TOKENS if loaded.device.type == "cpu" else ACCELERATOR_TOKENS
        self._budget = token_budget or default
        self._block, self._entering = start_of(route.source, len(loaded.blocks))
        self._directions = torch.stack([push.unit.direction.float() for push in pushes]).to(loaded.device)

    def __call__(self, prompt: TokenizedPrompt) -> Effects:
        """Return what the edits do to a prompt; edits that change nothing there cost no pass."""
        base, held = self._unedited(prompt)
        text = torch.tensor([not special for special in prompt.special], device=self._loaded.device)
        deltas = self._deltas(base, text)
        size = deltas.flatten(1).norm(dim=1)
        own = base.seen[self._route.source].float().norm(dim=1).clamp(min=1e-30)
        relative = (deltas.norm(dim=2) / own).amax(1)
        targets = _Targets(self._loaded, self._route, base, text)
        n_targets = self._route.n_targets
        total, passed, direct = torch.zeros(3, len(self._pushes), n_targets, device=self._loaded.device)
        for rows in self._chunks(size > 0, len(base.ids)):
            total[rows] = self._pass(base, targets, deltas[rows], held=None)
            passed[rows] = targets.passed(deltas[rows])
            if self._route.has_direct:
                direct[rows] = self._pass(base, targets, deltas[rows], held=held)
        found = (total.cpu(), passed.cpu(), direct.cpu() if self._route.has_direct else None)
        return Effects(targets.base.cpu(), *found, size.cpu(), relative.cpu())

    def _unedited(self, prompt: TokenizedPrompt) -> tuple[BaseRun, Held]:
        route = self._route
        wanted = [route.source, *(readout.address for readout in route.readouts)]
        wanted += [address for push in self._pushes for address in push.unit.reads]
        wanted += [unit.writes for unit in route.hold_units]
        if self._entering is not None:
            wanted.append(self._entering)
        if route.behaviour is not None:
            wanted.append(Address("resid_post", len(self._loaded.blocks) - 1))
        with noting(self._loaded, route.hold) if route.hold else nullcontext(Held(frozenset())) as held:
            base = base_run(self._loaded, prompt.ids, wanted, keep_cache=False)
        return base, held

    def _deltas(self, base: BaseRun, text: Bool[Tensor, " pos"]) -> Float[Tensor, "push pos width"]:
        units = [push.unit for push in self._pushes]
        values = read_units(units, base.seen)
        center = values.new_tensor([unit.center for unit in units])[:, None]
        scale = values.new_tensor([push.scale for push in self._pushes])[:, None]
        # A latent rests at zero; what is not there cannot be scaled.
        coefficients = torch.where(text, scale * (values - center), 0.0)
        x = base.seen[self._route.source].float()
        gains = [unit.gain(x) if unit.gain else torch.ones_like(x[:, 0]) for unit in units]
        if any(unit.gain for unit in units):
            coefficients = coefficients * torch.stack(gains)
        return coefficients[..., None] * self._directions[:, None]

    def _chunks(self, moved: Bool[Tensor, " push"], n_pos: int) -> Iterator[Tensor]:
        rows = moved.nonzero().flatten()
        yield from rows.split(max(1, self._budget // n_pos)) if len(rows) else ()

    def _pass(self, base: BaseRun, targets: _Targets, deltas: Tensor, *, held: Held | None) -> Tensor:
        loaded, route = self._loaded, self._route
        seen: dict[Address, Tensor] = {}
        taps = [Tap(whole_place(loaded, route.source), lambda x: x + deltas.to(x.dtype).reshape(x.shape))]
        if held is not None:
            taps += [_take_back(loaded, route.hold_units, address, base) for address in _written(route.hold_units)]
        taps += targets.taps(seen)
        with ExitStack() as stack, torch.no_grad():
            if held is not None:
                stack.enter_context(holding(loaded, held))
            logits = run_rows(loaded, base, len(deltas), block=self._block, taps=taps)
        return targets.changes(seen, logits, len(deltas))


class _Targets:
    """The targets of one prompt: their unedited values, and how edited ones differ."""

    def __init__(self, loaded: LoadedModel, route: Route, base: BaseRun, text: Bool[Tensor, " pos"]) -> None:
        self._loaded, self._route, self._run = loaded, route, base
        self._values = [readout.read(base.seen[readout.address][None])[0] for readout in route.readouts]
        self._weights = [weights_of(values, text, route.pool) for values in self._values]
        pooled = [(v * w).sum(0) for v, w in zip(self._values, self._weights, strict=True)]
        if route.behaviour is not None:
            self._behaviour = self._read_behaviour(base.logits[None])[0]
            pooled.append(self._behaviour[None])
        self.base: Float[Tensor, " target"] = torch.cat(pooled)

    def taps(self, seen: dict[Address, Tensor]) -> list[Tap]:
        """Return what reads the targets; the last one ends the pass unless the behaviour is wanted."""
        addresses = sorted({readout.address for readout in self._route.readouts}, key=depth_of)
        stop = self._route.behaviour is None
        return [
            reader(whole_place(self._loaded, address), seen, stop=stop and address == addresses[-1])
            for address in addresses
        ]

    def changes(self, seen: dict[Address, Tensor], logits: Tensor | None, n_rows: int) -> Float[Tensor, "row target"]:
        """Return by how much the targets of edited passes differ."""
        columns = [
            self._change(place, seen[readout.address].reshape(n_rows, len(self._run.ids), -1))
            for place, readout in enumerate(self._route.readouts)
        ]
        if logits is not None and self._route.behaviour is not None:
            columns.append((self._read_behaviour(logits) - self._behaviour)[:, None])
        return torch.cat(columns, dim=1)

    def passed(self, deltas: Float[Tensor, "row pos width"]) -> Float[Tensor, "row target"]:
        """Return by how much the targets differ if every block in between hands the change on and does nothing else."""
        route, columns = self._route, []
        for place, readout in enumerate(route.readouts):
            own = self._run.seen[readout.address]
            if passes_along(route.source, readout.address):
                columns.append(self._change(place, own + deltas.to(own.dtype)))
            else:
                columns.append(deltas.new_zeros(len(deltas), len(readout.indices)))
        if route.behaviour is not None:
            columns.append(self._passed_to_behaviour(deltas)[:, None])
        return torch.cat(columns, dim=1)

    def _passed_to_behaviour(self, deltas: Tensor) -> Float[Tensor, " row"]:
        n_blocks = len(self._loaded.blocks)
        last = Address("resid_post", n_blocks - 1)
        if not passes_along(self._route.source, last):
            return deltas.new_zeros(len(deltas))
        state = self._run.seen[last] + deltas.to(self._run.seen[last].dtype)
        with torch.no_grad():
            logits = run_rows(self._loaded, self._run, len(deltas), block=n_blocks, taps=(), state=state)
        assert logits is not None
        return self._read_behaviour(logits) - self._behaviour

    def _change(self, place: int, x: Float[Tensor, "row pos d_in"]) -> Float[Tensor, "row target"]:
        return ((self._route.readouts[place].read(x) - self._values[place]) * self._weights[place]).sum(1)

    def _read_behaviour(self, logits: Float[Tensor, "row pos n_vocab"]) -> Float[Tensor, " row"]:
        behaviour = self._route.behaviour
        assert behaviour is not None
        final = logits[:, -1].float()
        return final[:, list(behaviour.targets)].mean(1) - final[:, list(behaviour.alternatives)].mean(1)


def check_route(loaded: LoadedModel, route: Route, sources: Sequence[Unit]) -> None:
    """Refuse what cannot be measured; see `PathRunner`."""
    refuse_without_stream(loaded)
    whole_place(loaded, route.source)
    begin = depth_of(route.source)
    if not sources or route.n_targets == 0:
        raise ImpossiblePath("A path needs a source and a target.")
    for unit in sources:
        if unit.writes != route.source or any(depth_of(address) > begin for address in unit.reads):
            raise ImpossiblePath(f"{unit.key} is not a unit of {route.source}; all sources share one address.")
    ends = [readout.address for readout in route.readouts]
    for address in ends:
        whole_place(loaded, address)
        if depth_of(address) <= begin:
            raise ImpossiblePath(
                f"{address} does not come after {route.source}, so nothing leads from one to the other."
            )
    latest = (10_000, 0) if route.behaviour is not None else max(depth_of(address) for address in ends)
    for unit in route.hold_units:
        whole_place(loaded, unit.writes)
        if unit.reads != (unit.writes,) or not begin < depth_of(unit.writes) < latest:
            raise ImpossiblePath(
                f"{unit.key} does not lie between {route.source} and the targets, so it cannot be held."
            )


def _written(units: Sequence[Unit]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(unit.writes for unit in units))


def _take_back(loaded: LoadedModel, units: Sequence[Unit], address: Address, base: BaseRun) -> Tap:
    own = [unit for unit in units if unit.writes == address]
    directions = torch.stack([unit.direction.float() for unit in own]).to(loaded.device)
    before = read_units(own, base.seen)

    def change(x: Tensor) -> Tensor:
        wide = x.reshape(-1, before.shape[1], x.shape[-1]).float()
        now = torch.stack([read_units(own, {address: row}) for row in wide])
        difference = (before - now).transpose(1, 2)
        return (wide + difference @ directions).to(x.dtype).reshape(x.shape)

    return Tap(whole_place(loaded, address), change)
