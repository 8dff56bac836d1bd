# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Text that a model writes while it is edited: the edits act on the prompt and on every new token as it comes.

`all` and `active` go on with every new token, `last` is the end of the prompt and then each newest token, `span` stays
in the prompt. Values are read live, so that an edit sees what edits before it have made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.edits import Edit, Slice, Unit, Variant
from interp_lab.engine.generation import Sampling, continuations
from interp_lab.engine.intervention.changes import moved
from interp_lab.engine.intervention.order import groups_of, writable
from interp_lab.engine.intervention.replace import register
from interp_lab.engine.intervention.run import Subject
from interp_lab.engine.lens import Lens, coordinates_at
from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


def written_under(
    loaded: LoadedModel,
    variant: Variant,
    subjects: Sequence[Subject],
    sampling: Sampling,
    *,
    check: Callable[[], None] = lambda: None,
) -> list[tuple[int, ...]]:
    """Return the ids that the model writes after each prompt under the edits of a variant; none edits nothing.

    Raises:
        ImpossibleEdit: A value comes from another text, which says nothing of new tokens; or as `groups_of`.
        InvalidRequest: The model writes no text.
    """
    if any(callable(edit.goal) for edit in variant.edits):
        raise ImpossibleEdit(
            "A value taken from other text token by token says nothing of tokens yet to be written.",
            remedy="Ablate to zero or to the mean, suppress, amplify, clamp or steer.",
        )
    if loaded.family.part == "decoder":
        raise ImpossibleEdit(
            "Text written by the decoder of an encoder-decoder cannot be edited.", remedy="Use logits."
        )
    if variant.edits:
        groups_of(loaded, [variant])
    prompts = [subject.prompt for subject in subjects]
    around = partial(_edited, loaded, variant, subjects)
    return continuations(loaded, prompts, sampling, check=check, around=around if variant.edits else None)


@contextmanager
def _edited(loaded: LoadedModel, variant: Variant, subjects: Sequence[Subject], batch: TokenBatch) -> Iterator[None]:
    """Hooks for the rows of one batch, from its prompts to the last token that is written."""
    live = _Live([subjects[i] for i in batch.indices], batch.keep)
    handles: list[Any] = []
    try:
        read = [a for edit in variant.edits for a in edit.target.reads if a != edit.target.writes]
        places = [find_place(loaded, address) for address in dict.fromkeys(read)]
        handles += [register(place, partial(live.note, place)) for place in places]
        handles += [register(writable(loaded, e.target.writes), partial(live.apply, e)) for e in variant.edits]
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Live:
    """What is known of a batch while it is being written."""

    def __init__(self, subjects: Sequence[Subject], text: Bool[Tensor, "row pos"]) -> None:
        self._seen: dict[Address, Tensor] = {}
        self._begun: set[int] = set()
        self._n_rows, width = text.shape
        self._text, self._span = text, torch.zeros_like(text)
        for row, subject in enumerate(subjects):
            if subject.span:
                self._span[row, width - len(subject.prompt) :] = torch.tensor(list(subject.span))

    def note(self, place: Place, x: Tensor) -> Tensor:
        """Keep what is read elsewhere than it is written."""
        self._seen[place.address] = place.read(x)
        return x

    def apply(self, edit: Edit, x: Tensor) -> Tensor:
        """Return the tensor with one edit, in the shape it has."""
        wide = x.unflatten(0, (self._n_rows, -1)) if x.ndim == 2 else x
        mask = self._mask(edit, wide.shape[1])
        changed = self._slice(edit, wide, mask) if isinstance(edit.target, Slice) else self._unit(edit, wide, mask)
        return changed.flatten(0, 1) if x.ndim == 2 else changed

    def _mask(self, edit: Edit, n_pos: int) -> Bool[Tensor, "row pos"]:
        """The prompt comes first, as a whole; then new tokens come one by one."""
        if id(edit) in self._begun:
            return torch.full((self._n_rows, n_pos), edit.where != "span", device=self._text.device)
        self._begun.add(id(edit))
        if edit.where == "last":
            last = torch.zeros_like(self._text)
            last[:, -1] = True
            return last
        return self._span if edit.where == "span" else self._text

    def _unit(self, edit: Edit, x: Float[Tensor, "row pos width"], mask: Bool[Tensor, "row pos"]) -> Tensor:
        unit = edit.target
        assert isinstance(unit, Unit)
        addresses = unit.site.addresses if isinstance(unit.site, Lens) else (unit.site,)
        seen = {address: x if address == unit.writes else self._seen[address] for address in addresses}
        values = coordinates_at(unit.site, seen)[..., unit.index].float()
        factors = torch.tensor([edit.pull, edit.push, edit.grow, unit.center, unit.floor], device=x.device)
        goal = torch.as_tensor(edit.goal, device=x.device, dtype=values.dtype)
        change, away = moved(values, factors.unbind(0), goal)
        counted = mask if edit.where != "active" else mask & (away.abs() > unit.floor)
        scaled = torch.where(counted, change, 0.0)
        if unit.gain is not None:
            scaled = scaled * unit.gain(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return x + (scaled.unsqueeze(-1) * unit.direction.to(x.device)).to(x.dtype)

    def _slice(self, edit: Edit, x: Float[Tensor, "row pos width"], mask: Bool[Tensor, "row pos"]) -> Tensor:
        part = edit.target
        assert isinstance(part, Slice)
        edited = x.clone()
        own = edited[..., part.start : part.stop]
        goal = torch.as_tensor(edit.goal, device=x.device).to(x.dtype)
        own += edit.pull * (goal - own) * mask.unsqueeze(-1)
        return edited
