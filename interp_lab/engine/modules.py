# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Reading any torch module by its path: hooks on a network that is not a language model, one row per example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp_lab.errors import HookPointUnavailable, ShapeMismatch
from interp_lab.points import Address


class ModuleReader:
    """A network with hooks on it. Call it with a batch, inside the `with` block of `reading` only."""

    def __init__(self, network: nn.Module, addresses: Sequence[Address]) -> None:
        self.network = network
        self.addresses = tuple(dict.fromkeys(addresses))
        self._seen: dict[Address, Tensor] | None = None

    def __call__(self, batch: Tensor) -> tuple[Any, dict[Address, Float[Tensor, "batch width"]]]:
        """Return the network's output and a float32 row per example and address, on the CPU.

        Raises:
            HookPointUnavailable: the pass did not go through a module, or more than once.
            ShapeMismatch: a module does not pass one row per example.
        """
        self._seen = {}
        with torch.no_grad():
            output = self.network(batch)
        seen, self._seen = self._seen, None
        missing = [str(address) for address in self.addresses if address not in seen]
        if missing:
            raise HookPointUnavailable(f"The network does not go through {', '.join(missing)[:300]}.")
        return output, {address: _rows(seen[address], address, len(batch)) for address in self.addresses}

    def observe(self, address: Address, passed: Any) -> None:
        """Keep the first tensor of what a module was given or gave."""
        if self._seen is None:
            return
        while isinstance(passed, tuple | list) and passed:
            passed = passed[0]
        if not isinstance(passed, Tensor) or not passed.is_floating_point():
            raise HookPointUnavailable(f"The module at {address} passes no activation there.")
        if address in self._seen:
            raise HookPointUnavailable(f"One pass goes through {address} more than once; name a module used once.")
        # Copied at once: a nonlinearity that works in place would overwrite what its input was.
        self._seen[address] = passed.detach().clone()


@contextmanager
def reading(network: nn.Module, addresses: Sequence[Address]) -> Iterator[ModuleReader]:
    """Yield a reader of these modules; hooks are gone, and the network's mode is as it was, when the block ends.

    Raises:
        HookPointUnavailable: an address is not a module, or there is none of that path.
    """
    reader = ModuleReader(network, addresses)
    modules = [(address, _module(network, address)) for address in reader.addresses]
    was_training = {module: module.training for module in network.modules()}
    handles: list[Any] = []
    try:
        network.eval()
        handles.extend(_hook(reader, address, module) for address, module in modules)
        yield reader
    finally:
        for handle in handles:
            handle.remove()
        for module, training in was_training.items():
            module.training = training


def _module(network: nn.Module, address: Address) -> nn.Module:
    if address.point != "module" or address.path is None:
        raise HookPointUnavailable(f"{address} is a place of a language model; name a module: 'module:PATH'.")
    try:
        return network.get_submodule(address.path)
    except AttributeError as error:
        there = ", ".join(name for name, _ in network.named_modules() if name)
        raise HookPointUnavailable(f"There is no module {address.path!r}; there are {there[:400]}.") from error


def _hook(reader: ModuleReader, address: Address, module: nn.Module) -> Any:
    if address.side == "in":
        return module.register_forward_pre_hook(
            lambda _, args, kwargs: reader.observe(address, args or tuple(kwargs.values())), with_kwargs=True
        )
    return module.register_forward_hook(lambda _module, _args, output: reader.observe(address, output))


def _rows(value: Tensor, address: Address, n: int) -> Tensor:
    if value.ndim == 0 or value.shape[0] != n:
        raise ShapeMismatch(f"{address} has shape {tuple(value.shape)} for {n} examples.")
    return value.reshape(n, -1).float().cpu()
