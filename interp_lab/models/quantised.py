# pyright: standard
"""A loaded model whose weights were rounded to 8 bits: what is lost when only the weights are quantised.

Weight only: each output of a linear layer has one scale, the largest size of its weights over 127, and no offset;
weights are rounded to signed 8-bit integers and multiplied out again, so products are computed in the model's own
number format, as weight-only kernels do. Activations, biases, norms, embeddings and the unembedding stay as they are.

Source: symmetric per-channel quantisation by the absolute maximum, Nagel et al. 2021, A White Paper on Neural Network
Quantization, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from interp_lab.errors import InvalidRequest

_MOST = 127


def round_weights(model: nn.Module, blocks: Iterable[nn.Module], name: str) -> tuple[str, ...]:
    """Round the weights of every linear layer of the blocks to 8 bits, in place; return the names of the layers.

    Raises:
        InvalidRequest: The blocks have no linear layer.
    """
    inside = {module for block in blocks for module in block.modules()}
    found: list[str] = []
    for layer, module in model.named_modules():
        if module in inside and isinstance(module, (nn.Linear, Conv1D)):
            out = 0 if isinstance(module, nn.Linear) else 1  # Conv1D keeps its weight as (inputs, outputs)
            with torch.no_grad():
                module.weight.copy_(rounded(module.weight, out))
            found.append(layer)
    if not found:
        raise InvalidRequest(f"{name} has no linear layer in its blocks whose weights could be rounded.")
    return tuple(found)


def rounded(weight: Tensor, out: int) -> Tensor:
    """Return a weight after 8 bits, one scale per place along the dimension `out` of outputs."""
    scale = weight.float().abs().amax(dim=1 - out, keepdim=True) / _MOST
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    codes = torch.round(weight.float() / safe).clamp(-_MOST, _MOST).to(torch.int8)
    return (codes.float() * safe).to(weight.dtype)
