# pyright: standard
"""From an address to the module that holds it and the tensor that is meant. Reads, never writes."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from interp_lab.errors import HookPointUnavailable
from interp_lab.models.facts import ModelFacts
from interp_lab.models.families import Site, Take
from interp_lab.models.load import LoadedModel
from interp_lab.points import DECODER, Address, Side

_PARTS = ("q", "k", "v")


class Place(NamedTuple):
    """A module of a loaded model, the side it is read on, and which part of its tensor is meant."""

    address: Address
    module: nn.Module
    side: Side
    take: Take
    facts: ModelFacts

    def read(self, passed: Any) -> Tensor:
        """Return the meant tensor out of what the module was given or gave, as a detached view.

        Raises:
            HookPointUnavailable: There is no such tensor in it.
        """
        value = passed[1] if self.take == "probs" and isinstance(passed, tuple) and len(passed) > 1 else _first(passed)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise HookPointUnavailable(f"The module at {self.address} passes no activation there.")
        return self._part(value.detach())

    def _part(self, value: Tensor) -> Tensor:
        facts = self.facts
        if self.take not in _PARTS or facts.family.qkv_layout == "separate":
            return value
        part = _PARTS.index(self.take)
        if facts.n_heads is None or facts.n_kv_heads is None or facts.d_head is None:
            raise HookPointUnavailable(f"The configuration does not tell where {self.take} begins.")
        if facts.family.qkv_layout == "per_head":
            return value.unflatten(-1, (facts.n_heads, 3, facts.d_head))[..., part, :].flatten(-2)
        n_q, n_kv = facts.n_heads * facts.d_head, facts.n_kv_heads * facts.d_head
        return torch.split(value, [n_q, n_kv, n_kv], dim=-1)[part]


def find_place(loaded: LoadedModel, address: Address) -> Place:
    """Return where `address` is in the loaded model. `logits` has no module: it is the model's output.

    Raises:
        HookPointUnavailable: The family does not offer it, or there is no module of that path.
        LayerOutOfRange: There is no such layer.
    """
    loaded.facts.check(address)
    if address.point == "module":
        return Place(address, _module(loaded.model, address), address.side, "whole", loaded.facts)
    if address.layer is None:
        return Place(address, _global_module(loaded, address), "out", "whole", loaded.facts)
    site: Site = loaded.family.sites[address.point]
    module = loaded.blocks[address.layer].get_submodule(site.path)
    return Place(address, module, site.side, site.take, loaded.facts)


def _global_module(loaded: LoadedModel, address: Address) -> nn.Module:
    if address.point == "logits":
        return loaded.model
    part = loaded.model.get_decoder() if address.point.startswith(DECODER) else loaded.model
    return part.get_input_embeddings()


def _module(model: nn.Module, address: Address) -> nn.Module:
    modules = dict(model.named_modules())
    if address.path not in modules:
        near = get_close_matches(str(address.path), modules, n=3) or list(modules)[1:4]
        raise HookPointUnavailable(f"The model has no module {address.path!r}; nearest: {', '.join(near)}.")
    return modules[address.path]


def _first(passed: Any) -> Any:
    """Blocks of some architectures give a tuple; indexing a tensor the same way would silently take batch row 0."""
    return passed[0] if isinstance(passed, (tuple, list)) and passed else passed
