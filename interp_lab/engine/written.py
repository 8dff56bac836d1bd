# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What the model as it stands makes of prompts and of text that was written after them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.engine.batches import make_batch, pad_id, plan_batches
from interp_lab.engine.harvest import TOKEN_BUDGET
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt

Ids = Sequence[int]


def next_log_probs(loaded: LoadedModel, prompts: Sequence[TokenizedPrompt]) -> Float[Tensor, "n_prompts n_vocab"]:
    """Return log-probabilities of the token after each prompt, in float32 on the CPU."""
    found: dict[int, Tensor] = {}
    with loaded.lock, torch.no_grad():
        for indices in plan_batches([len(prompt) for prompt in prompts], TOKEN_BUDGET):
            batch = make_batch(loaded, prompts, indices=indices)
            logits = loaded.model(input_ids=batch.ids, attention_mask=batch.mask.long(), use_cache=False).logits
            last = batch.mask.sum(1) - 1
            rows = logits[torch.arange(len(indices), device=logits.device), last].float().log_softmax(-1).cpu()
            found |= dict(zip(indices, rows, strict=True))
    return torch.stack([found[place] for place in range(len(prompts))])


def surprise(loaded: LoadedModel, prompts: Sequence[Ids], texts: Sequence[Ids]) -> NDArray[np.float64]:
    """Return the mean nats per token of each text after its prompt; 0 for an empty text."""
    lengths = [len(prompt) + len(text) for prompt, text in zip(prompts, texts, strict=True)]
    found = np.zeros(len(texts))
    with loaded.lock, torch.no_grad():
        for indices in plan_batches(lengths, TOKEN_BUDGET):
            whole = [[*prompts[i], *texts[i]] for i in indices]
            width, filler = max(map(len, whole)), pad_id(loaded)
            ids = torch.tensor([[*row, *[filler] * (width - len(row))] for row in whole], device=loaded.device)
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in whole], device=loaded.device)
            logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
            told = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
            for row, place in enumerate(indices):
                if texts[place]:
                    start = len(prompts[place]) - 1
                    found[place] = -float(told[row, start : start + len(texts[place])].mean())
    return found


def repeated_pairs(text: Ids) -> float:
    """Return the share of neighbouring token pairs that stand earlier in the same text."""
    pairs = list(pairwise(text))
    return 1 - len(set(pairs)) / len(pairs) if pairs else 0.0
