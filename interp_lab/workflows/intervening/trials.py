# pyright: standard
"""Every edited run that is asked for, as data: the edits, each with its controls, its opposite and its placebo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from interp_lab.contracts.intervene import EditName, EditWhere, InterveneRequest
from interp_lab.engine.edits import (
    Edit,
    Goal,
    Slice,
    Target,
    Unit,
    Variant,
    ablate,
    amplify,
    clamp,
    patch,
    steer,
    suppress,
)
from interp_lab.workflows.intervening.plan import edited_at_once, strengths_of
from interp_lab.workflows.intervening.units import Subject
from interp_lab.workflows.intervening.values import Reading, rested

Role = Literal["effect", "random_direction", "matched_latent", "other_head", "wrong_sign", "placebo"]
CONTROL_ROLES: tuple[Role, ...] = ("random_direction", "matched_latent", "other_head")
_BY_STEP: Mapping[EditName, Callable[..., Edit]] = {"suppress": suppress, "amplify": amplify, "steer": steer}
TOGETHER = "all together"


@dataclass(frozen=True, eq=False)
class Trial:
    """One edited run: of which subjects, how, and what it is for."""

    subjects: tuple[int, ...]
    """Places of the subjects that are edited together."""
    edit: EditName
    strength: float
    role: Role
    variant: Variant


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes edits of targets, with everything that they rest on."""

    request: InterveneRequest
    subjects: tuple[Subject, ...]
    reading: Reading
    partners: tuple[int | None, ...]

    def trials(self) -> tuple[Trial, ...]:
        """Return every run that the request asks for.

        Raises:
            ImpossibleEdit: A head is to be clamped or steered.
        """
        return tuple(
            trial
            for group in edited_at_once(self.request, len(self.subjects))
            for name in self.request.edits
            for strength in strengths_of(name, self.request)
            for trial in self._trials(group, name, strength)
        )

    def _trials(self, group: tuple[int, ...], name: EditName, strength: float) -> list[Trial]:
        own = [self.subjects[place] for place in group]
        made = [("effect", [self.edit(s, s.target, name, strength) for s in own])]
        made += [("wrong_sign", [self.edit(s, s.target, name, strength, factor=-1.0) for s in own])]
        made += [("placebo", [self.edit(s, s.target, name, strength, factor=0.0) for s in own])]
        for number in range(self.request.n_controls):
            if all(isinstance(s.target, Unit) for s in own):
                turned = [self._turned(s, name, strength, number) for s in own]
                made += [("random_direction", turned), ("random_direction", [_mirrored(edit) for edit in turned])]
            if all(number < len(s.companions) for s in own):
                kind = "other_head" if isinstance(own[0].target, Slice) else "matched_latent"
                made.append((kind, [self.edit(s, s.companions[number], name, strength) for s in own]))
        return [
            Trial(group, name, strength, role, Variant(f"{role} {number}", tuple(edits)))  # pyright: ignore[reportArgumentType]
            for number, (role, edits) in enumerate(made)
        ]

    def edit(self, subject: Subject, target: Target, name: EditName, strength: float, *, factor: float = 1.0) -> Edit:
        """Return one edit; `factor` -1 is its opposite and 0 its placebo."""
        scale = self.reading.scales[target]
        at_rest = rested(target, scale, latent=subject.is_latent)
        where = _where(name, self.request.where, target, latent=subject.is_latent)
        step = factor * strength * (1.0 if isinstance(target, Slice) else scale.typical)
        if name == "clamp":
            rest = at_rest.center if isinstance(at_rest, Unit) else 0.0
            value = rest + (strength if factor >= 0 else -strength) * scale.typical
            return clamp(at_rest, value, strength=abs(factor), where=where)
        if name == "patch":
            return patch(at_rest, self.reading.of_partner(target, self.partners), strength=factor, where=where)
        if name in _BY_STEP:
            return _BY_STEP[name](at_rest, step, where=where)
        return ablate(at_rest, to=self._removed(target, name), strength=factor, where=where)

    def _removed(self, target: Target, name: EditName) -> Goal:
        """What is put in the place of what is taken away."""
        if name == "ablate_zero":
            return 0.0
        if name == "ablate_resample":
            return self.reading.drawn(target, self.request.seed)
        mean = self.reading.scales[target].center
        return torch.from_numpy(mean) if isinstance(target, Slice) else float(mean[0])

    def _turned(self, subject: Subject, name: EditName, strength: float, number: int) -> Edit:
        """The same change of the same values, along a random direction of the same length."""
        edit = self.edit(subject, subject.target, name, strength)
        unit = edit.target
        assert isinstance(unit, Unit)
        place = self.subjects.index(subject)
        generator = torch.Generator().manual_seed(self.request.seed * 1_000_003 + place * 1009 + number)
        random = torch.randn(unit.direction.shape, generator=generator)
        turned = random / random.norm() * unit.direction.norm().cpu()
        return replace(edit, target=replace(unit, key=f"{unit.key} turned {number}", direction=turned))


def _mirrored(edit: Edit) -> Edit:
    """The same edit the other way: a direction and its opposite together show what any edit of this length does."""
    assert isinstance(edit.target, Unit)
    return replace(edit, target=replace(edit.target, direction=-edit.target.direction))


def _where(name: EditName, where: EditWhere, target: Target, *, latent: bool) -> EditWhere:
    """A coordinate is never exactly at rest, so that amplifying it everywhere would amplify its noise."""
    away = name == "amplify" and isinstance(target, Unit) and not latent
    return "active" if away and where == "all" else where
