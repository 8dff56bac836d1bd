# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A vector added to the residual stream at every token, for as long as a `with` block lasts; also during generation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


@contextmanager
def added(loaded: LoadedModel, address: Address, vector: Float[Tensor, " d_model"] | None) -> Iterator[None]:
    """Add `vector` to what passes `address`; None adds nothing. A zero vector leaves every number as it is.

    Raises:
        ImpossibleEdit: What passes there is only a part of a tensor.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    if vector is None:
        yield
        return
    place = find_place(loaded, address)
    if place.take != "whole":
        raise ImpossibleEdit(f"A vector cannot be added at {address}.", remedy="Add it to the residual stream.")
    with loaded.lock:
        handle = _register(place, vector.to(loaded.device))
        try:
            yield
        finally:
            handle.remove()


def _register(place: Place, vector: Tensor) -> Any:
    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (_plus(output[0], vector), *output[1:])
        return _plus(output, vector)

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (_plus(args[0], vector), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": _plus(kwargs["hidden_states"], vector)}

    if place.side == "in":
        return place.module.register_forward_pre_hook(before, with_kwargs=True)
    return place.module.register_forward_hook(after)


def _plus(state: Tensor, vector: Tensor) -> Tensor:
    return state + vector.to(state.dtype)
