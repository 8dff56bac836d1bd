"""What a harvest costs, from files alone: bytes on disk, memory, arithmetic. Torch-free, so that a plan can say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interp_lab.artifacts.durable import free_bytes
from interp_lab.contracts.store import StoreDtype
from interp_lab.errors import DoesNotFit
from interp_lab.machine.hardware import memory
from interp_lab.points import Address

_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
ROW_BYTES = 24
"""Upper estimate of one row of the table of tokens, compressed, labels apart."""
METRIC_BYTES = 4
_BUFFERS = 2 * 256 * 2**20
"""A stretch of activations, and what the store holds back for one shard."""
_BASE = 400 * 2**20
"""Libraries."""


def store_bytes(n_tokens: int, scalars: int, dtype: StoreDtype, n_metrics: int) -> int:
    """Return about how large the store will be."""
    return n_tokens * (scalars * _BYTES[dtype] + ROW_BYTES + METRIC_BYTES * n_metrics)


def peak_bytes(weight_bytes: int) -> int:
    """Return an upper estimate of the memory at the peak: the weights while they are read, and the buffers."""
    return 2 * weight_bytes + _BUFFERS + _BASE


def refuse_unfit_disk(needed: int, n_tokens: int, n_columns: int, *, folder: Path, reserve: int) -> None:
    """Return if the store fits on the disk of `folder`.

    Raises:
        DoesNotFit: It does not; says what would.
    """
    free = free_bytes(folder) - reserve
    if needed <= free:
        return
    share = max(0.0, free / needed)
    raise DoesNotFit(
        f"The store would take about {needed / 2**30:.1f} GiB; {max(0, free) / 2**30:.1f} GiB are free for it.",
        remedy=(
            f"About {int(n_tokens * share):,} tokens would fit (max_documents), or {int(n_columns * share)} of "
            f"{n_columns} addresses, or free the space; dtype 'bfloat16' halves 'float32'."
        ),
    )


def refuse_unfit_memory(needed: int) -> None:
    """Return if the work fits into the memory that this machine, or the container, has for it.

    Raises:
        DoesNotFit: It does not.
    """
    total = memory().total
    if needed > total:
        raise DoesNotFit(
            f"Reading this model takes up to {needed / 2**30:.1f} GiB of memory; the machine has {total / 2**30:.1f}.",
            remedy="Load it with dtype 'bfloat16', use a smaller model, or a machine with more memory.",
        )


def deepest(addresses: Sequence[Address], n_layers: int) -> int | None:
    """Return the last block that has to run, -1 for none, or None where the whole model has to."""
    depths: list[int] = []
    for address in addresses:
        if address.point == "logits":
            return None
        if address.point == "module":
            depths.append(n_layers - 1)
        elif address.layer is not None:
            depths.append(address.layer - (address.point == "resid_pre"))
    return max(depths, default=-1)


def device_key(device_type: str, dtype: str, n_threads: int) -> str:
    """Return the name under which a speed is kept; threads of the processor matter on a processor only."""
    return f"{device_type}/{dtype}" + (f"/{n_threads} threads" if device_type == "cpu" else "")
