# pyright: standard
"""Where the blocks of a loaded model are: one rule for every architecture."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from interp_lab.errors import UnsupportedModel


def find_blocks(model: PreTrainedModel, n_layers: int) -> tuple[nn.Module, ...]:
    """Return the blocks of `model` in order: the outermost module list of the decoder that has one entry per layer.

    Raises:
        UnsupportedModel: There is no such list, or more than one equally far out.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
    lists = [
        (name.count("."), name, module)
        for name, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_layers
    ]
    outermost = [entry for entry in lists if entry[0] == min(depth for depth, _, _ in lists)]
    if len(outermost) != 1:
        names = ", ".join(name for _, name, _ in outermost) or "none"
        raise UnsupportedModel(f"{type(model).__name__} should have one list of {n_layers} blocks; found: {names}.")
    return tuple(outermost[0][2])
