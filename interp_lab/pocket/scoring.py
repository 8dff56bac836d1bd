"""What a model makes of token windows: surprise per token, the likelier of several continuations, induction."""
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from interp_lab.pocket.recipe import PAD_ID
from interp_lab.pocket.tasks import Item

_BATCH = 16


@torch.inference_mode()
def surprise(model: PreTrainedModel, windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Nats of every token but the first of each window, (windows, pos) -> (windows, pos - 1)."""
    rows: list[NDArray[np.float64]] = []
    for start in range(0, len(windows), _BATCH):
        ids = torch.from_numpy(windows[start : start + _BATCH])
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
        flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        rows.append(flat.view(ids.shape[0], -1).double().numpy())
    return np.concatenate(rows)


def correct(model: PreTrainedModel, tokenizer: Tokenizer, items: Sequence[Item]) -> NDArray[np.bool_]:
    """Whether the model gives the right continuation more probability than every wrong one, (items,)."""
    return np.array([_first_wins(model, tokenizer, item) for item in items])


def option_ids(tokenizer: Tokenizer, item: Item) -> tuple[list[int], list[list[int]]]:
    """The tokens of the beginning, and those that each option adds."""
    prompt = tokenizer.encode(item.prompt).ids
    return prompt, [tokenizer.encode(option, add_special_tokens=False).ids for option in item.options]


@torch.inference_mode()
def _first_wins(model: PreTrainedModel, tokenizer: Tokenizer, item: Item) -> bool:
    prompt, options = option_ids(tokenizer, item)
    longest = max(map(len, options))
    width = len(prompt) + longest
    ids = torch.tensor([(prompt + option + [PAD_ID] * width)[:width] for option in options])
    # from the last token of the beginning on
    logprobs = model(input_ids=ids, use_cache=False, logits_to_keep=longest + 1).logits.float().log_softmax(-1)
    scores = [
        sum(float(logprobs[row, place, token]) for place, token in enumerate(option))
        for row, option in enumerate(options)
    ]
    return scores[0] > max(scores[1:])


@dataclass(frozen=True)
class Induction:
    """What repetition gains on random tokens, and which heads look at what followed the last time."""

    first_half: float
    """Nats per token where nothing can be known."""
    second_half: float
    """Nats per token in the repetition."""
    heads: tuple[tuple[int, int, float], ...]
    """(layer, head, prefix-matching score) of the best heads, best first; the score is an attention share."""
    sequences: int
    length: int


def random_repeats(vocabulary: int, sequences: int, length: int, seed: int) -> NDArray[np.int64]:
    """A beginning token, random tokens and the same tokens again, (sequences, 1 + 2 * length)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    half = generator.integers(PAD_ID + 1, vocabulary, size=(sequences, length))
    return np.concatenate([np.zeros((sequences, 1), dtype=np.int64), half, half], axis=1)


@torch.inference_mode()
def induction(model: PreTrainedModel, ids: NDArray[np.int64], top: int = 4) -> Induction:
    """Surprise on both halves, and per head the mean attention from a token to what followed its earlier copy.

    Source: Olsson et al. (2022), prefix matching.
    """
    length = (ids.shape[1] - 1) // 2
    nats = surprise(model, ids)
    usual = model.config._attn_implementation or "sdpa"
    model.set_attn_implementation("eager")
    attentions = model(input_ids=torch.from_numpy(ids), use_cache=False, output_attentions=True).attentions
    model.set_attn_implementation(usual)
    queries = torch.arange(length + 1, 2 * length + 1)
    found = [
        (layer, head, float(pattern[:, head, queries, queries - length + 1].mean()))
        for layer, pattern in enumerate(attentions)
        for head in range(pattern.shape[1])
    ]
    best = tuple(sorted(found, key=lambda entry: -entry[2])[:top])
    # the first token of the repetition cannot be foreseen
    return Induction(float(nats[:, :length].mean()), float(nats[:, length + 1 :].mean()), best, len(ids), length)
