# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Exact effects of many edits of sources on many targets: one pass per edit serves every target.

An edit adds `scale` times the source's own value, token by token, along its decoder: -1 removes it, 1 doubles it. The
rest of the activation, dictionary errors included, stays as it is. Of what arrives at a target, the part that the
residual stream merely passes along is computed apart, by adding the same change to the unedited target activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.edits import Unit
from interp_lab.engine.intervention.changes import read_units
from interp_lab.engine.intervention.fast import Beginning, fast_path, in_use
from interp_lab.engine.intervention.fast import run_rows as resumed_rows
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
    tapped,
    until_seen,
    whole_place,
)
from interp_lab.errors import ImpossiblePath
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

CPU_TOKENS = 2048
"""Tokens of one pass on a processor."""
ACCELERATOR_TOKENS = 32_768
_WORTH_SHARING = 8
"""Keys and values are shared if at least one in so many tokens comes before the first edit of a pass."""


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
        self._path = fast_path(loaded)
        last = len(loaded.blocks) - 1
        self._trims = all(depth_of(a) < (last, 0) for a in (route.source, *(r.address for r in route.readouts)))
        self._block, self._entering = start_of(route.source, len(loaded.blocks))
        self._directions = torch.stack([push.unit.direction.float() for push in pushes]).to(loaded.device)

    def __call__(self, prompt: TokenizedPrompt) -> Effects:
        """Return what the edits do to a prompt; edits that change nothing there cost no pass."""
        base, held = self._unedited(prompt)
        text = torch.tensor([not special for special in prompt.special], device=self._loaded.device)
        added = self._added(base, text)
        lengths = added.abs() * self._directions.norm(dim=1, keepdim=True)
        size = lengths.norm(dim=1)
        relative = (lengths / base.seen[self._route.source].float().norm(dim=1).clamp(min=1e-30)).amax(1)
        targets = _Targets(self._loaded, self._route, base, text)
        total, passed, direct = torch.zeros(3, len(self._pushes), self._route.n_targets, device=self._loaded.device)
        with self._shortcuts(attention=True):
            for rows, begin in self._chunks(added, base):
                deltas = added[rows, begin:, None] * self._directions[rows, None]
                total[rows] = self._pass(base, targets, deltas, begin)
                passed[rows] = targets.passed(deltas)
        if self._route.has_direct:
            with self._shortcuts(attention=False):
                for rows, _ in self._chunks(added, None):
                    deltas = added[rows, :, None] * self._directions[rows, None]
                    direct[rows] = self._held_pass(base, targets, deltas, held)
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
        with (
            self._shortcuts(attention=False),
            noting(self._loaded, route.hold) if route.hold else nullcontext(Held(frozenset())) as held,
        ):
            base = base_run(self._loaded, prompt.ids, wanted, keep_cache=self._path.attention, final=True)
        return base, held

    def _shortcuts(self, *, attention: bool) -> AbstractContextManager[None]:
        """Those that are exact on the model, and the head for the words of the behaviour only."""
        path = self._path if attention else self._path._replace(attention=False)
        return in_use(self._loaded, path, tokens=_words(self._route))

    def _added(self, base: BaseRun, text: Bool[Tensor, " pos"]) -> Float[Tensor, "push pos"]:
        """How much of its direction every edit adds to every token."""
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
        return coefficients

    def _chunks(self, added: Float[Tensor, "push pos"], base: BaseRun | None) -> Iterator[tuple[Tensor, int]]:
        """Edits that change something, in the order in which they begin, and where the first of each pass begins.

        Without a base run all begin at the first token, as they do where tokens before an edit cannot be shared.
        """
        moved = added != 0
        rows = moved.any(1).nonzero().flatten()
        first = moved[rows].int().argmax(1)
        order = first.argsort(stable=True)
        rows, begins, n_pos = rows[order], first[order].tolist(), added.shape[1]
        shares = base is not None and base.cache is not None and self._path.attention
        start = 0
        while start < len(rows):
            begin = begins[start] if shares and begins[start] * _WORTH_SHARING >= n_pos else 0
            stop = start + max(1, self._budget // (n_pos - begin))
            yield rows[start:stop], begin
            start = stop

    def _pass(self, base: BaseRun, targets: _Targets, deltas: Tensor, begin: int) -> Float[Tensor, "row target"]:
        """The tokens from `begin` on, with whatever shortcut is in use."""
        seen: dict[Address, Tensor] = {}
        block, path = self._block, self._path
        trim = path.trim and self._trims and len(base.ids) - begin > 1
        start = Beginning(block, begin, final=True, trim=trim)
        with tapped(self._loaded, [self._edit(deltas), *targets.taps(seen)]):
            logits = until_seen(lambda: resumed_rows(self._loaded, [base], len(deltas), path, begin=start))
        return targets.changes(seen, logits, begin)

    def _held_pass(self, base: BaseRun, targets: _Targets, deltas: Tensor, held: Held) -> Float[Tensor, "row target"]:
        """Whole prompts, with parts of the model held."""
        loaded, route = self._loaded, self._route
        seen: dict[Address, Tensor] = {}
        taps = [self._edit(deltas)]
        taps += [_take_back(loaded, route.hold_units, address, base) for address in _written(route.hold_units)]
        taps += targets.taps(seen)
        with holding(loaded, held), torch.no_grad():
            logits = run_rows(loaded, base, len(deltas), block=self._block, taps=taps)
        return targets.changes(seen, logits, 0)

    def _edit(self, deltas: Float[Tensor, "row pos width"]) -> Tap:
        return Tap(whole_place(self._loaded, self._route.source), lambda x: x + deltas.to(x.dtype).reshape(x.shape))


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

    def changes(self, seen: dict[Address, Tensor], logits: Tensor | None, begin: int) -> Float[Tensor, "row target"]:
        """Return by how much the targets of edited passes over the tokens from `begin` on differ."""
        n_pos = len(self._run.ids) - begin
        columns = [
            self._change(place, seen[readout.address], n_pos) for place, readout in enumerate(self._route.readouts)
        ]
        if logits is not None and self._route.behaviour is not None:
            columns.append((self._read_behaviour(logits) - self._behaviour)[:, None])
        return torch.cat(columns, dim=1)

    def passed(self, deltas: Float[Tensor, "row pos width"]) -> Float[Tensor, "row target"]:
        """Return by how much the targets differ if every block in between hands the change on and does nothing else."""
        route, columns, n_pos = self._route, [], deltas.shape[1]
        for place, readout in enumerate(route.readouts):
            own = self._run.seen[readout.address][-n_pos:]
            if passes_along(route.source, readout.address):
                columns.append(self._change(place, own + deltas.to(own.dtype), n_pos))
            else:
                columns.append(deltas.new_zeros(len(deltas), len(readout.indices)))
        if route.behaviour is not None:
            columns.append(self._passed_to_behaviour(deltas[:, -1:])[:, None])
        return torch.cat(columns, dim=1)

    def _passed_to_behaviour(self, deltas: Float[Tensor, "row 1 width"]) -> Float[Tensor, " row"]:
        """Norm and head look at one token at a time, so the last is enough."""
        n_blocks = len(self._loaded.blocks)
        last = Address("resid_post", n_blocks - 1)
        if not passes_along(self._route.source, last):
            return deltas.new_zeros(len(deltas))
        own, run = self._run.seen[last][-1:], replace(self._run, ids=self._run.ids[-1:], seen={})
        state = own + deltas.to(own.dtype)
        with torch.no_grad():
            logits = run_rows(self._loaded, run, len(deltas), block=n_blocks, taps=(), state=state)
        assert logits is not None
        return self._read_behaviour(logits) - self._behaviour

    def _change(self, place: int, x: Tensor, n_pos: int) -> Float[Tensor, "row target"]:
        """Over the last `n_pos` tokens, those that were run."""
        values, weights = self._values[place][-n_pos:], self._weights[place][-n_pos:]
        now = self._route.readouts[place].read(x.reshape(-1, n_pos, x.shape[-1]))
        return ((now - values) * weights).sum(1)

    def _read_behaviour(self, logits: Float[Tensor, "row pos logit"]) -> Float[Tensor, " row"]:
        behaviour, tokens = self._route.behaviour, _words(self._route)
        assert behaviour is not None
        assert tokens is not None
        final = logits[:, -1].float()
        words = final if fast_path(self._loaded).head else final[:, list(tokens)]
        n_on = len(behaviour.targets)
        return words[:, :n_on].mean(1) - words[:, n_on:].mean(1)


def _words(route: Route) -> tuple[int, ...] | None:
    """The tokens whose logits are wanted; None if none are."""
    return None if route.behaviour is None else (*route.behaviour.targets, *route.behaviour.alternatives)


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
