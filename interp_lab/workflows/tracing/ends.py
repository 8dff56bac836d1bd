# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The ends of paths as a loaded model has them: sources with their random companions, targets by site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.intervene import UnitRef
from interp_lab.contracts.path_report import OUTPUT, PathEnd
from interp_lab.contracts.trace_paths import PathRequest
from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.edits import Unit, coordinate
from interp_lab.engine.lens import Site
from interp_lab.engine.paths.effects import Route
from interp_lab.engine.paths.readout import Readout
from interp_lab.errors import ImpossiblePath
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import dictionary_configs
from interp_lab.workflows.intervening.sources import Found
from interp_lab.workflows.intervening.units import Subject, open_subjects, with_companions

MOST_PROMPTS = 64
"""Prompts whose tokens random directions are mixed from."""


@dataclass(frozen=True, eq=False)
class Ends:
    """Sources, and targets in the order of the columns of effects."""

    sources: tuple[Subject, ...]
    targets: tuple[PathEnd, ...]
    """The behaviour last, if it is measured."""
    route: Route

    def unit(self, place: int) -> Unit:
        """Return a source as a unit."""
        target = self.sources[place].target
        assert isinstance(target, Unit)
        return target

    def end(self, place: int) -> PathEnd:
        """Return a source as the end of a path."""
        subject = self.sources[place]
        ref = subject.found.ref
        return PathEnd(key=subject.key, address=str(subject.target.writes), unit=ref)

    def column(self, ref: UnitRef | None) -> int:
        """Return the column of a target."""
        key = OUTPUT if ref is None else Found(ref).key
        return next(place for place, end in enumerate(self.targets) if end.key == key)


def latents_of(dictionary: str, settings: Settings) -> tuple[UnitRef, ...]:
    """Return all latents of a dictionary as units."""
    (config,) = dictionary_configs([dictionary], settings)
    where = "+".join(config.addresses_in)
    return tuple(
        UnitRef(dictionary=dictionary, index=index, name=f"{where}/{dictionary[:12]} #{index}"[:60])
        for index in range(config.n_latents)
    )


def open_ends(
    sources: Sequence[UnitRef],
    targets: Sequence[UnitRef],
    request: PathRequest,
    *,
    loaded: LoadedModel,
    settings: Settings,
) -> Ends:
    """Return the ends; every subject of one dictionary shares its encoding.

    Raises:
        ImpossiblePath: Sources lie at several addresses, or an end is a head.
        InvalidRequest, ImpossibleEdit, HookPointUnavailable, LayerOutOfRange, DictionaryMismatch: No such unit.
    """
    refs = [*sources, *targets, *request.hold_units]
    subjects = open_subjects([Found(ref) for ref in refs], loaded, settings)
    for subject in subjects:
        if not isinstance(subject.target, Unit):
            raise ImpossiblePath(f"{subject.key} has no single value, so no path begins or ends there.")
    own = subjects[: len(sources)]
    ends = subjects[len(sources) : len(sources) + len(targets)]
    held = [s.target for s in subjects[len(sources) + len(targets) :] if isinstance(s.target, Unit)]
    readouts, order = _readouts(ends)
    addresses = dict.fromkeys(subject.target.writes for subject in own)
    if len(addresses) != 1:
        raise ImpossiblePath(f"Sources lie at {', '.join(map(str, addresses))}; trace those of one address at a time.")
    route = Route(next(iter(addresses)), readouts, request.pool, None, frozenset(request.hold), tuple(held))
    return Ends(own, tuple(_end(ends[place]) for place in order), route)


def with_behaviour(ends: Ends, route: Route) -> Ends:
    """Return the ends with the behaviour as the last target, if the route reads it."""
    if route.behaviour is None:
        return replace(ends, route=route)
    output = PathEnd(key=OUTPUT, address="logits", unit=None)
    return Ends(ends.sources, (*ends.targets, output), route)


class Companions(NamedTuple):
    """What sources are compared with, by kind; the same number for every source, in the order of the sources."""

    random: tuple[Unit, ...]
    matched: tuple[Unit, ...]
    others: tuple[Unit, ...]


def with_controls(
    ends: Ends, chosen: Sequence[int], loaded: LoadedModel, prompts: Sequence[TokenizedPrompt], *, n: int, seed: int
) -> Companions:
    """Return for the chosen sources `n` random directions each, and matched latents or other coordinates.

    A random direction is as long as the source's and scaled by its values, so only where it points differs. It is a
    random mix of how tokens of these prompts differ from their mean there: directions that the model never writes, or
    never varies, would be no fair comparison for units that it does. Other coordinates have values of their own.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = _differences(loaded, ends.route.source, prompts)
    random: list[Unit] = []
    others: list[Unit] = []
    for place in chosen:
        unit, subject = ends.unit(place), ends.sources[place]
        drawn = (torch.randn(n, len(rows), generator=generator) @ rows).to(unit.direction)
        drawn = drawn / drawn.norm(dim=1, keepdim=True) * unit.direction.norm()
        random += [replace(unit, key=f"{unit.key} control {i}", direction=row) for i, row in enumerate(drawn)]
        if subject.found.ref.index is not None and not subject.is_latent:
            width = len(unit.direction)
            free = [i for i in torch.randperm(width, generator=generator).tolist() if i != unit.index][:n]
            others += [replace(coordinate(unit.writes, i, width), key=f"{unit.key} control {i}") for i in free]
    latents = [ends.sources[place] for place in chosen if ends.sources[place].is_latent]
    matched = with_companions(latents, loaded, prompts, n=n, seed=seed) if latents else ()
    return Companions(
        tuple(random), tuple(u for s in matched for u in s.companions if isinstance(u, Unit)), tuple(others)
    )


def centred(unit: Unit, mean: float) -> Unit:
    """Return the unit with the value that it is scaled from."""
    return replace(unit, center=mean)


def _differences(
    loaded: LoadedModel, address: Address, prompts: Sequence[TokenizedPrompt]
) -> Float[Tensor, "token width"]:
    """Unit vectors, so that a few tokens of huge activations do not decide what is typical."""
    found: list[Tensor] = []
    with capture(loaded, [address]) as run:
        for prompt in prompts[:MOST_PROMPTS]:
            values = run(make_batch(loaded, [prompt]))[address][0].float().cpu()
            found.append(values[~torch.tensor(prompt.special)])
    rows = torch.cat(found)
    rows = rows - rows.mean(dim=0)
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-20)


def _readouts(ends: Sequence[Subject]) -> tuple[tuple[Readout, ...], list[int]]:
    """Targets that share a site are read together; `order` is that of the columns."""
    by_site: dict[Site, list[int]] = {}
    for place, subject in enumerate(ends):
        assert isinstance(subject.target, Unit)
        by_site.setdefault(subject.target.site, []).append(place)
    readouts: list[Readout] = []
    for site, places in by_site.items():
        units = [ends[place].target for place in places]
        readouts.append(Readout(site, tuple(u.index for u in units if isinstance(u, Unit))))
    return tuple(readouts), [place for places in by_site.values() for place in places]


def _end(subject: Subject) -> PathEnd:
    reads = subject.target.reads
    return PathEnd(key=subject.key, address="+".join(map(str, reads)), unit=subject.found.ref)
