"""The training loop: packed windows in a fixed order, AdamW, warm-up and cosine, resumable at any checkpoint."""
# pyright: standard

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP

from interp_lab.pocket import checkpoint
from interp_lab.pocket.architecture import build
from interp_lab.pocket.precision import bfloat16_pays
from interp_lab.pocket.recipe import CONTEXT, VOCABULARY, Recipe
from interp_lab.pocket.text import Tokens

Report = Callable[[int, float, float], None]
"""Called with the step, the training loss and the seconds since the start."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, a plateau, then half a cosine down to zero."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    decay = recipe.decay_share * recipe.steps
    progress = max(0.0, (step - (recipe.steps - decay)) / decay)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class Batches:
    """Windows of the token stream; each pass shifts and shuffles them by the recipe's seed."""

    def __init__(self, tokens: Tokens, recipe: Recipe, context: int) -> None:
        self.tokens = tokens
        self.recipe = recipe
        self.context = context
        self.per_pass = ((len(tokens) - context) // context) // recipe.batch
        self._pass = -1
        self._starts = np.zeros(0, dtype=np.int64)

    def at(self, step: int) -> torch.Tensor:
        """The token ids of that step, (batch, context + 1); a function of the step alone."""
        number, place = divmod(step, self.per_pass)
        if number != self._pass:
            self._starts = self._shuffled(number)
            self._pass = number
        chosen = self._starts[place * self.recipe.batch : (place + 1) * self.recipe.batch]
        rows = [self.tokens[start : start + self.context + 1] for start in chosen]
        return torch.from_numpy(np.stack(rows).astype(np.int64))

    def _shuffled(self, number: int) -> np.ndarray:
        generator = np.random.Generator(np.random.PCG64([self.recipe.seed, number]))
        shift = int(generator.integers(self.context)) if number else 0
        count = self.per_pass * self.recipe.batch
        return generator.permutation(count) * self.context + shift


def optimizer_for(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)


def loss_of(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Mean next-token cross-entropy in nats of the windows, (batch, pos) -> scalar."""
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def fit(
    recipe: Recipe,
    tokens: Tokens,
    folder: Path,
    *,
    corpus: str,
    until: int | None = None,
    seconds_between_checkpoints: float = 120.0,
    report: Report | None = None,
    size: tuple[int, int] = (VOCABULARY, CONTEXT),
) -> PreTrainedModel:
    """The trained model; continues from the newest checkpoint in the folder and stops at `until` if given.

    Raises:
        CheckpointMismatch: the folder holds a checkpoint of another recipe or corpus.
    """
    vocabulary, context = size
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = _fused(build(recipe, vocabulary, context)).train()
    torch.nn.Module.to(model, device)
    half = bfloat16_pays(device)
    optimizer = optimizer_for(model, recipe)
    batches = Batches(tokens, recipe, context)
    step = checkpoint.restore(folder, checkpoint.Mark(0, recipe.digest(), corpus), model, optimizer)
    last = min(recipe.steps, until or recipe.steps)
    began = saved = time.monotonic()
    while step < last:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = loss_of(model, batches.at(step).to(device))
        _update(model, optimizer, loss, recipe.clip)
        step += 1
        now = time.monotonic()
        if report:
            report(step, float(loss.detach()), now - began)
        if step == last or now - saved > seconds_between_checkpoints:
            checkpoint.save(folder, checkpoint.Mark(step, recipe.digest(), corpus), model, optimizer)
            saved = now
    return model.eval()


def _fused(model: PreTrainedModel) -> PreTrainedModel:
    # GPT-2's activation is written as six operations; this is the same function in one
    for module in model.modules():
        if isinstance(module, GPT2MLP):
            module.act = torch.nn.GELU(approximate="tanh")
    return model


def _update(model: torch.nn.Module, optimizer: torch.optim.AdamW, loss: torch.Tensor, clip: float) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
