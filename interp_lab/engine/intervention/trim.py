# pyright: standard
"""Whether the last block of a loaded model may be computed for the last position only: tried once, never assumed."""

from __future__ import annotations

from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from interp_lab.engine.intervention.resume import base_run, only_last_position, resumed_logits
from interp_lab.models.load import LoadedModel

MAX_ERROR = 1e-5
"""Largest difference over the largest logit, float32."""
_MAX_ERROR_HALF = 3e-2
_LENGTH = 7

_known: WeakKeyDictionary[LoadedModel, bool] = WeakKeyDictionary()


def can_trim(loaded: LoadedModel) -> bool:
    """Return whether trimmed and whole runs agree at the last position; a second call returns what the first found."""
    with loaded.lock:
        if loaded not in _known:
            _known[loaded] = _try(loaded)
        return _known[loaded]


def _try(loaded: LoadedModel) -> bool:
    n_vocab = cast("nn.Embedding", loaded.model.get_input_embeddings()).num_embeddings
    base = base_run(loaded, [(3 + 7 * i) % n_vocab for i in range(_LENGTH)], [], keep_cache=False)
    try:
        with only_last_position(loaded):
            trimmed = resumed_logits(loaded, base, 2, block=0, position=0, final=True)
    except (RuntimeError, IndexError, ValueError):
        return False  # a block that checks or reshapes what it is given: it is run whole
    expected = base.logits[-1].double()
    error = float((trimmed[:, -1].double() - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
    return error <= (MAX_ERROR if loaded.dtype in (torch.float32, torch.float64) else _MAX_ERROR_HALF)
