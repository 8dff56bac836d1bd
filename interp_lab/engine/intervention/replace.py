# pyright: standard
"""Hooks that replace the tensor at a place of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from interp_lab.engine.sites import Place


def register(place: Place, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the handle of a hook that puts `change` of the tensor at a place in its stead."""
    if place.side == "in":

        def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        return place.module.register_forward_pre_hook(before, with_kwargs=True)

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    return place.module.register_forward_hook(after)
