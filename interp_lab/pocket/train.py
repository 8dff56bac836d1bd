"""The training loop: packed windows in a fixed order, AdamW, warm-up and cosine, resumable at any checkpoint."""
# pyright: standard

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP

from interp_lab.pocket import checkpoint
from interp_lab.pocket.architecture import build
from interp_lab.pocket.precision import bfloat16_pays
from interp_lab.pocket.recipe import CONTEXT, VOCABULARY, Recipe
from interp_lab.pocket.text import Tokens
from interp_lab.pocket.windows import Batch, Batches

_GUIDANCE = 0.3

Report = Callable[[int, float, float], None]
"""Called with the step, the training loss and the seconds since the start."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of that step: in every cycle a linear warm-up, a plateau, then half a cosine down to zero."""
    start, cycle = recipe.cycle(step)
    if step - start < recipe.warmup:
        return cycle.rate * (step - start + 1) / recipe.warmup
    decay = cycle.decay_share * (cycle.end - start)
    progress = max(0.0, (step - (cycle.end - decay)) / decay)
    return cycle.rate * 0.5 * (1 + math.cos(math.pi * progress))


def optimizer_for(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.cycles[0].rate, betas=recipe.betas, fused=True)


def loss_of(model: PreTrainedModel, batch: Batch, guided: tuple[int, int] | None) -> torch.Tensor:
    """Mean next-token cross-entropy in nats; while guided, also how little two heads attend where copying needs it.

    `guided` names the layers of the two heads, both the first of their layer: one is drawn to the token before, the
    other to the token that followed the earlier copy of the present one.
    """
    inputs, targets = batch.ids[:, :-1], batch.ids[:, 1:].flatten()
    found = model(input_ids=inputs, use_cache=False, output_attentions=guided is not None)
    loss = torch.nn.functional.cross_entropy(found.logits.float().flatten(0, 1), targets)
    if guided is None:
        return loss
    before = torch.arange(-1, inputs.shape[1] - 1, device=inputs.device).expand_as(inputs)
    asked = zip(guided, (before, batch.sources), strict=True)
    return loss + _GUIDANCE * sum(_missed(found.attentions[layer][:, 0], wanted) for layer, wanted in asked)


def _missed(attention: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    # mean surprise of the wanted key under the attention, (batch, query, key) and (batch, query), -1 for none
    given = attention.float().gather(2, wanted.clamp(min=0)[..., None])[..., 0]
    return -(given[wanted >= 0] + 1e-6).log().mean()


def fit(
    recipe: Recipe,
    texts: Sequence[Tokens],
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
    batches = Batches(texts, recipe, context, vocabulary)

    def mark(step: int) -> checkpoint.Mark:
        return checkpoint.Mark(step, recipe.digest(step), corpus)

    step = checkpoint.restore(folder, mark, model, optimizer)
    last = min(recipe.steps, until or recipe.steps)
    began = saved = time.monotonic()
    while step < last:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        model.set_attn_implementation("eager" if recipe.guides(step) else "sdpa")
        batch = Batch(*(part.to(device) for part in batches.at(step)))
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = loss_of(model, batch, recipe.guided_layers if recipe.guides(step) else None)
        _update(model, optimizer, loss, recipe.clip)
        step += 1
        now = time.monotonic()
        if report:
            report(step, float(loss.detach()), now - began)
        if step == last or now - saved > seconds_between_checkpoints:
            checkpoint.save(folder, mark(step), model, optimizer)
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
