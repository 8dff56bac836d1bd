# pyright: standard
"""How many tokens may go through a model at once: from the size of the machine, never from what is free just now.

A budget that followed the free memory would give other matrix shapes, and other last bits, on every run.
"""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import torch

from interp_lab.models.load import LoadedModel
from interp_lab.points import Address

CPU_TOKENS = 1024
"""A processor gains nothing from larger batches, and stops sooner with smaller ones."""
ACCELERATOR_TOKENS = 16_384
_CPU_ROW = 128
"""Longer rows cost more in attention than they gain by being full."""
_ACCELERATOR_ROW = 1024
_SHARE = 8
"""One pass may take this fraction of the memory."""
_INNER_COPIES = 6
"""Tensors of the width of the MLP that are alive at once inside a block, with room to spare."""
_BYTES = 4


def token_budget(loaded: LoadedModel, addresses: Sequence[Address]) -> int:
    """Return a power of two of padded tokens for one pass; running out of memory is then the exception."""
    cap = CPU_TOKENS if loaded.device.type == "cpu" else ACCELERATOR_TOKENS
    fits = memory_bytes(loaded.device) // _SHARE // max(1, bytes_per_token(loaded, addresses))
    return max(1, min(cap, 2 ** max(0, int(fits).bit_length() - 1)))


def row_tokens(device: torch.device) -> int:
    """Return how long a row of packed texts is, unless one of them is longer."""
    return _CPU_ROW if device.type == "cpu" else _ACCELERATOR_ROW


def bytes_per_token(loaded: LoadedModel, addresses: Sequence[Address]) -> int:
    """Return an upper estimate of the memory of one token in a pass: what is captured, logits, one block's inside."""
    facts = loaded.facts
    captured = sum(facts.width(address) or facts.d_model for address in addresses)
    logits = 3 * (facts.n_vocab or 0) if any(address.point == "logits" for address in addresses) else 0
    inside = _INNER_COPIES * (facts.d_mlp or 4 * facts.d_model)
    return _BYTES * (captured + logits + inside)


def memory_bytes(device: torch.device) -> int:
    """Return the memory of a device in bytes, used or not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch failed because there was no memory; on a processor only the words tell."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
