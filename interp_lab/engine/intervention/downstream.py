# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A unit later in the model as the behaviour: read on the way, and the pass ends there if nothing else is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp_lab.engine.edits import Variant
from interp_lab.engine.intervention.replace import register
from interp_lab.engine.lens import Reader, Site, addresses_of, reader_of
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address, refuse_not_later

DOWNSTREAM: Final = "downstream"
"""Value of a later unit, pooled over the text tokens of the prompt."""


class _EnoughError(Exception):
    """Everything that is wanted of a pass has been seen."""


@dataclass(frozen=True, eq=False)
class Downstream:
    """One unit that is read, and how its token values become one."""

    key: str
    site: Site
    index: int
    pool: Literal["max", "mean", "last", "span"]

    @property
    def address(self) -> Address:
        """The one address that is read.

        Raises:
            ImpossibleEdit: The unit is read from several addresses at once.
        """
        found = addresses_of([self.site])
        if len(found) != 1:
            raise ImpossibleEdit(f"{self.key} reads several addresses at once, so no pass can end there.")
        return found[0]

    def values(self, x: Float[Tensor, "row pos d"]) -> Float[Tensor, "row pos"]:
        """Return the value at every token."""
        return self._reader(x)[..., 0].float()

    @cached_property
    def _reader(self) -> Reader:
        return reader_of(self.site, (self.index,))

    def pooled(
        self, values: Float[Tensor, "row pos"], text: Bool[Tensor, " pos"], span: Bool[Tensor, " pos"]
    ) -> Float[Tensor, " row"]:
        """Return one number per row, over the text tokens or, for 'span', those of the labelled span."""
        own = values[:, span if self.pool == "span" and bool(span.any()) else text]
        if self.pool == "max":
            return own.amax(1)
        return own[:, -1] if self.pool == "last" else own.mean(1)


def check_later(downstream: Downstream, variants: Sequence[Variant]) -> None:
    """Check that every edit is made before the unit is read.

    Raises:
        ImpossibleEdit: The unit is read where, or before, something is edited.
    """
    edits = [edit.target for variant in variants for edit in variant.edits]
    refuse_not_later(downstream.key, downstream.address, [(target.key, target.writes) for target in edits])


@contextmanager
def tapped(loaded: LoadedModel, address: Address | None, *, ends: bool = False) -> Iterator[list[Tensor]]:
    """Keep what passes an address, edits before it included, in the list that this gives; `ends` ends passes there."""
    seen: list[Tensor] = []
    if address is None:
        yield seen
        return
    place = find_place(loaded, address)

    def keep(x: Tensor) -> Tensor:
        seen.append(place.read(x))
        if ends:
            raise _EnoughError
        return x

    handle = register(place, keep)
    try:
        yield seen
    finally:
        handle.remove()


def until_there(run: Callable[[], Tensor]) -> Tensor | None:
    """Return what a pass gives, or None if it was ended on the way."""
    try:
        return run()
    except _EnoughError:
        return None


def with_before(seen: Float[Tensor, "row pos"], usual: Float[Tensor, " whole_pos"]) -> Float[Tensor, "row whole_pos"]:
    """Return values of whole prompts, those of leading tokens that were not run being as usual."""
    n_before = len(usual) - seen.shape[1]
    return torch.cat([usual[:n_before].expand(len(seen), -1), seen], dim=1)
