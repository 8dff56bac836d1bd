"""A token that the model rules out adds nothing to the entropy, where a plain product would make it NaN."""

from __future__ import annotations

import numpy as np
import torch

from interp_lab.engine.pieces import Piece
from interp_lab.engine.token_metrics import Scene, entropy
from interp_lab.models.tokens import TokenizedPrompt


def entropies(*logits: float) -> np.ndarray:
    document = TokenizedPrompt(id="a", text="x", ids=(0,), special=(False,), pieces=("x",), offsets=None)
    return entropy(Scene(document, Piece(0, (0,), 0, 1, 0), torch.tensor([logits]), {}))


def test_ruled_out_tokens_do_not_count() -> None:
    masked = entropies(0.3, -0.2, float("-inf"))
    np.testing.assert_array_equal(masked, entropies(0.3, -0.2))
    assert entropies(0.0, 0.0)[0] == np.float32(np.log(2))
