# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A linear estimate of the effect of every source on every target: one backward pass per target serves every source.

It chooses which pairs to measure and is never reported as an effect. The change is taken to be as small as need be, the
latents that fire to stay those that fire; how far that is off at real sizes is measured beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.edits import Unit
from interp_lab.engine.intervention.changes import read_units
from interp_lab.engine.intervention.resume import BaseRun, base_run
from interp_lab.engine.paths.effects import Route, check_route
from interp_lab.engine.paths.readout import Readout, weights_of
from interp_lab.engine.paths.segment import Tap, depth_of, passes_along, reader, run_rows, start_of, whole_place
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

ROWS_AT_ONCE = 64
"""Targets of one batched backward pass."""


class Estimate(NamedTuple):
    """What one prompt says of every pair."""

    slopes: Float[Tensor, "source target"]
    """Of the mediated effect at the unedited model, per unit of scale."""
    base: Float[Tensor, " target"]
    """Unedited targets, pooled."""


class Screen:
    """Sources and targets prepared for one model; call it prompt by prompt."""

    def __init__(self, loaded: LoadedModel, sources: Sequence[Unit], route: Route) -> None:
        """Check the route; see `PathRunner`. What the route holds is not held: estimates are of total effects."""
        check_route(loaded, route, sources)
        self._loaded, self._sources, self._route = loaded, tuple(sources), route
        self._block, self._entering = start_of(route.source, len(loaded.blocks))
        self._directions = torch.stack([unit.direction.float() for unit in sources]).to(loaded.device)
        self._centers = torch.tensor([unit.center for unit in sources], device=loaded.device)[:, None]

    def __call__(self, prompt: TokenizedPrompt) -> Estimate:
        """Return the estimates for one prompt."""
        route, last = self._route, Address("resid_post", len(self._loaded.blocks) - 1)
        wanted = [route.source, last, *(readout.address for readout in route.readouts)]
        wanted += [address for unit in self._sources for address in unit.reads]
        wanted += [self._entering] if self._entering is not None else []
        with _eager(self._loaded):
            base = base_run(self._loaded, prompt.ids, wanted, keep_cache=False)
            text = torch.tensor([not special for special in prompt.special], device=self._loaded.device)
            slopes, pooled = self._slopes(base, text)
        coefficients = torch.where(text, read_units(self._sources, base.seen) - self._centers, 0.0)
        x = base.seen[route.source].float()
        if any(unit.gain for unit in self._sources):
            gains = [unit.gain(x) if unit.gain else torch.ones_like(x[:, 0]) for unit in self._sources]
            coefficients = coefficients * torch.stack(gains)
        return Estimate(self._against(slopes, coefficients).cpu(), pooled.cpu())

    def _slopes(self, base: BaseRun, text: Tensor) -> tuple[Float[Tensor, "target pos width"], Tensor]:
        """Gradients of the mediated part of every target with respect to what is at the source; and the targets."""
        loaded, route = self._loaded, self._route
        last = Address("resid_post", len(loaded.blocks) - 1)
        leaf = base.seen[route.source].detach().clone()[None].requires_grad_()
        ends = sorted({*(readout.address for readout in route.readouts), *self._last(route)}, key=depth_of)
        seen: dict[Address, Tensor] = {}
        taps = [Tap(whole_place(loaded, route.source), lambda x: leaf.reshape(x.shape))]
        taps += [
            reader(whole_place(loaded, end), seen, stop=route.behaviour is None and end == ends[-1]) for end in ends
        ]
        with torch.enable_grad():
            logits = run_rows(loaded, base, 1, block=self._block, taps=taps)
        parts = [_towards(readout, base, text, route) for readout in route.readouts]
        found = [
            _back(leaf, seen[readout.address], towards, along=passes_along(route.source, readout.address))
            for readout, (towards, _) in zip(route.readouts, parts, strict=True)
        ]
        pooled = [values for _, values in parts]
        if route.behaviour is not None and logits is not None:
            final, words = logits[0, -1].float(), route.behaviour
            with torch.enable_grad():
                metric = final[list(words.targets)].mean() - final[list(words.alternatives)].mean()
            whole, straight = torch.autograd.grad(metric, [leaf, seen[last]])
            found.append(whole - straight.reshape(whole.shape) if passes_along(route.source, last) else whole)
            pooled.append(metric.detach()[None])
        return torch.cat(found), torch.cat(pooled)

    def _last(self, route: Route) -> tuple[Address, ...]:
        """Where the stream ends, if the behaviour is read."""
        return () if route.behaviour is None else (Address("resid_post", len(self._loaded.blocks) - 1),)

    def _against(self, slopes: Tensor, coefficients: Float[Tensor, "source pos"]) -> Float[Tensor, "source target"]:
        """Few sources are active at a token, so tokens are taken one by one."""
        found = torch.zeros(len(coefficients), len(slopes), device=slopes.device)
        for place in range(slopes.shape[1]):
            active = coefficients[:, place].nonzero().flatten()
            if len(active):
                change = coefficients[active, place, None] * self._directions[active]
                found.index_add_(0, active, change @ slopes[:, place].T)
        return found


def _towards(readout: Readout, base: BaseRun, text: Tensor, route: Route) -> tuple[Tensor, Tensor]:
    """Return the gradient of every pooled target with respect to what its site reads, and its value."""
    x = base.seen[readout.address].detach().clone().requires_grad_()
    with torch.enable_grad():
        values = readout.read(x[None])[0]
        pooled = (values * weights_of(values.detach(), text, route.pool)).sum(0)
    return _each(pooled, x), pooled.detach()


def _back(leaf: Tensor, end: Tensor, towards: Float[Tensor, "target pos width"], *, along: bool) -> Tensor:
    """Return the gradients at the source of targets with those gradients at their end, less what passes along."""
    slopes = torch.zeros(len(towards), *leaf.shape[1:], device=leaf.device)
    active = towards.flatten(1).any(1).nonzero().flatten()
    for rows in active.split(ROWS_AT_ONCE):
        given = towards[rows].to(end.dtype).reshape(len(rows), *end.shape)
        slopes[rows] = _batched(end, leaf, given).reshape(slopes[rows].shape)
    return slopes - towards if along else slopes


def _each(outputs: Float[Tensor, " target"], x: Tensor) -> Float[Tensor, "target pos width"]:
    """Return the gradient of every output."""
    one_hot = torch.eye(len(outputs), device=outputs.device, dtype=outputs.dtype)
    parts = [_batched(outputs, x, rows) for rows in one_hot.split(ROWS_AT_ONCE)]
    return torch.cat(parts)


def _batched(outputs: Tensor, x: Tensor, given: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(outputs, x, given, retain_graph=True, is_grads_batched=True)
    return found


@contextmanager
def _eager(loaded: LoadedModel) -> Iterator[None]:
    """Fused attention has no batched backward pass; the plain one has."""
    with loaded.lock:
        usual = loaded.model.config._attn_implementation or "eager"
        loaded.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            loaded.model.set_attn_implementation(usual)
