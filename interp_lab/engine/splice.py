# pyright: standard
"""One activation replaced while the model runs, inside `with` only: how a reconstruction is tried in its place.

What is put there is computed from activations of the same pass. Interventions on single coordinates or latents, their
strengths and their schedules are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from interp_lab.engine.hooks import hooked
from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import HookPointUnavailable
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address

Tokens = Float[Tensor, "token width"]
"""Every token of a pass, padding included, row after row."""
Replace = Callable[[Mapping[Address, Tokens], Tokens], Tokens]
"""From what was read before in the pass and what is there to what is put there, of the same shape."""


@contextmanager
def splice(loaded: LoadedModel, write: Address, replace: Replace, *, reads: Sequence[Address] = ()) -> Iterator[None]:
    """Put `replace(read, own)` in the place of the activation at `write` on every pass inside the block.

    `reads` are addresses that passes go through before `write`; the model stays locked and every hook is removed
    however the block ends. A replacement that returns `own` leaves the pass as it is, bit by bit.

    Raises:
        HookPointUnavailable: The model does not have one of the places, or nothing can be put there.
        LayerOutOfRange: There is no such layer.
    """
    place = find_place(loaded, write)
    if place.take != "whole" or write.point == "logits":
        raise HookPointUnavailable(f"Nothing can be put in the place of {write}: it is read out of a larger tensor.")
    seen: dict[Address, Tensor] = {}

    def keep(where: Place, value: Tensor) -> None:
        seen[where.address] = value.flatten(0, -2)

    def put(value: Tensor) -> Tensor:
        return replace(seen, value.flatten(0, -2)).to(value.dtype).reshape(value.shape)

    # Readers are hooked last, in front: at one module they see what is there, never what was put there.
    with loaded.lock:
        handle = _register(place, put)
        try:
            with hooked(loaded, [find_place(loaded, address) for address in dict.fromkeys(reads)], keep):
                yield
        finally:
            handle.remove()


def _register(place: Place, put: Callable[[Tensor], Tensor]) -> RemovableHandle:
    if place.side == "in":
        before = partial(_before, place, put)
        return place.module.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
    return place.module.register_forward_hook(partial(_after, place, put), prepend=True)


def _before(
    place: Place,
    put: Callable[[Tensor], Tensor],
    _module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args:
        return (put(place.read(args[0])), *args[1:]), kwargs
    return args, kwargs | {"hidden_states": put(place.read(kwargs.get("hidden_states")))}


def _after(
    place: Place, put: Callable[[Tensor], Tensor], _module: nn.Module, _args: tuple[Any, ...], output: Any
) -> Any:
    made = put(place.read(output))
    return type(output)((made, *output[1:])) if isinstance(output, (tuple, list)) else made
