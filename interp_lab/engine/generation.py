# pyright: standard
"""Continuations of prompts, written by the model itself: drawn from a seed, the same request writes the same text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from interp_lab.engine.batches import TokenBatch, make_batch, pad_id, plan_batches
from interp_lab.errors import InvalidRequest
from interp_lab.models.decoder_tokens import start_id
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen."""

    max_new_tokens: int
    temperature: float
    """0 takes the likeliest."""
    seed: tuple[int, ...]
    """Numbers that together decide every draw."""
    token_budget: int


class _Stop(StoppingCriteria):
    """Never stops; lets the caller raise between two tokens."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
        self._check()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def continuations(
    loaded: LoadedModel,
    prompts: Sequence[TokenizedPrompt],
    sampling: Sampling,
    *,
    check: Callable[[], None] = lambda: None,
    around: Callable[[TokenBatch], AbstractContextManager[None]] | None = None,
) -> list[tuple[int, ...]]:
    """Return the ids that the model writes after each prompt, the end-of-text token included where it writes one.

    Prompts are padded on the left, and what is padding never counts as text. An encoder-decoder reads the prompts with
    its encoder, which counts positions from the left; what it writes follows the token that its decoder starts with.
    `around` gives for each batch the block inside which it is written.

    Raises:
        InvalidRequest: The model writes no text.
    """
    if not loaded.model.can_generate():
        raise InvalidRequest(f"{loaded.source.id} writes no text.", remedy="Leave generate out.")
    model: Any = loaded.model
    written: list[tuple[int, ...]] = [()] * len(prompts)
    budget = max(1, sampling.token_budget)
    lengths = [len(prompt) + sampling.max_new_tokens for prompt in prompts]
    devices = [loaded.device] if loaded.device.type == "cuda" else []
    config, ends, of_pair = _config(loaded, sampling), _ends(loaded), loaded.family.part == "decoder"
    with loaded.lock, _own_defaults_off(model), torch.random.fork_rng(devices=devices), torch.no_grad():
        for number, indices in enumerate(plan_batches(lengths, budget)):
            torch.manual_seed(_seed(*sampling.seed, number))
            batch = make_batch(loaded, prompts, indices=indices, side="right" if of_pair else "left")
            with nullcontext() if around is None else around(batch):
                output: Any = model.generate(
                    batch.ids,
                    attention_mask=batch.mask.long(),
                    generation_config=config,
                    stopping_criteria=StoppingCriteriaList([_Stop(check)]),
                )
            given = 1 if of_pair else batch.ids.shape[1]
            for index, row in zip(indices, output[:, given:].tolist(), strict=True):
                written[index] = _until_end(row, ends)
    return written


@contextmanager
def _own_defaults_off(model: Any) -> Iterator[None]:
    """Hide the settings that came with the model: nucleus, repetition penalty and the like would be mixed in unseen."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _config(loaded: LoadedModel, sampling: Sampling) -> GenerationConfig:
    drawn = {"temperature": sampling.temperature, "top_k": 0} if sampling.temperature > 0 else {}
    starts = {"decoder_start_token_id": start_id(loaded)} if loaded.family.part == "decoder" else {}
    return GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=sampling.temperature > 0,
        eos_token_id=sorted(_ends(loaded)) or None,
        pad_token_id=pad_id(loaded),
        **drawn,
        **starts,
    )


def _ends(loaded: LoadedModel) -> frozenset[int]:
    given = getattr(loaded.model.generation_config, "eos_token_id", None)
    ids = given if isinstance(given, list) else [given, loaded.tokenizer.eos_token_id]
    return frozenset(i for i in ids if isinstance(i, int))


def _until_end(row: list[int], ends: frozenset[int]) -> tuple[int, ...]:
    """What was written up to and with the first end-of-text token; after it there is only padding."""
    end = next((i for i, token in enumerate(row) if token in ends), len(row) - 1)
    return tuple(row[: end + 1])
