# pyright: standard
"""Hooks on a loaded model that exist only inside `with`, one user of the model at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from interp_lab.engine.sites import Place
from interp_lab.models.load import LoadedModel

Observer = Callable[[Place, Tensor], None]


@contextmanager
def hooked(loaded: LoadedModel, places: Sequence[Place], observe: Observer) -> Iterator[None]:
    """Call `observe(place, tensor)` on every pass through a place, in the order of `places` where they share a module.

    Holds the lock of the model, and removes every hook however the block ends.
    """
    with loaded.lock:
        handles: list[RemovableHandle] = []
        try:
            # Each is put in front of those before it: transformers installs recorders of its own that stay last.
            handles.extend(_register(place, observe) for place in reversed(places))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _register(place: Place, observe: Observer) -> RemovableHandle:
    if place.side == "in":
        return place.module.register_forward_pre_hook(partial(_before, place, observe), prepend=True, with_kwargs=True)
    return place.module.register_forward_hook(partial(_after, place, observe), prepend=True)


def _before(place: Place, observe: Observer, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    observe(place, place.read(args[0] if args else kwargs.get("hidden_states")))


def _after(place: Place, observe: Observer, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
    observe(place, place.read(output))
