# pyright: standard
"""What small text models make of texts: the chance that one entails another, and one vector for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from interp_lab.errors import NonFiniteInput
from interp_lab.models.text_models import TextModel
from interp_lab.statistics.arrays import Floats, Matrix

_BATCH = 16

Step = Callable[[int], None]
Row = dict[str, list[int]]
"""What a tokenizer makes of one text, by the name of the model's input."""


class Read(NamedTuple):
    """Numbers for each text, and how many texts were too long to be read whole."""

    values: Matrix
    n_cut: int


def entailment(
    model: TextModel, premises: Sequence[str], hypothesis: str, *, label: int, step: Step = lambda _: None
) -> tuple[Floats, int]:
    """Return the probability `(n_premises,)` that each premise entails the hypothesis, and how many were cut.

    It is the softmax over all labels of the classifier, at the label that says entailment. A premise that is too long
    is cut at its end, never the hypothesis.

    Raises:
        NonFiniteInput: The model gave a number that is none.
    """
    tokens, n_cut = _tokens(model, [(text, hypothesis) for text in premises])
    size = _BATCH if getattr(model.model.config, "pad_token_id", None) is not None else 1
    chances = [torch.softmax(batch.logits.double(), -1)[:, label] for batch in _run(model, tokens, size, step)]
    return _finite(torch.cat(chances).cpu().numpy(), model), n_cut


def mean_pooled(model: TextModel, texts: Sequence[str], *, step: Step = lambda _: None) -> Read:
    """Return the mean of the last hidden states over the tokens of each text `(n_texts, d_model)`, of length 1.

    Source: Reimers and Gurevych (2019), mean pooling.

    Raises:
        NonFiniteInput: The model gave a number that is none.
    """
    tokens, n_cut = _tokens(model, texts)
    rows = [
        torch.nn.functional.normalize((out.last_hidden_state * mask).sum(1) / mask.sum(1), dim=-1)
        for out, mask in _masked(model, tokens, step)
    ]
    return Read(_finite(torch.cat(rows).float().cpu().numpy(), model), n_cut)


def _masked(model: TextModel, tokens: list[Row], step: Step):
    for start, out in enumerate(_run(model, tokens, _BATCH, step)):
        batch = tokens[start * _BATCH : (start + 1) * _BATCH]
        yield out, _padded([row["attention_mask"] for row in batch], 0, model)[..., None].float()


def _tokens(model: TextModel, texts: Sequence[str] | Sequence[tuple[str, str]]) -> tuple[list[Row], int]:
    """Return the tokens of each text or pair within what the model reads, and how many texts were longer."""
    tokenizer, limit = model.tokenizer, model.max_tokens
    found: list[Row] = []
    n_cut = 0
    for text in texts:
        first, second = (text, None) if isinstance(text, str) else text
        n_cut += len(tokenizer(first, second, verbose=False)["input_ids"]) > limit
        how = True if second is None else "only_first"
        row = tokenizer(first, second, truncation=how, max_length=limit, return_attention_mask=True)
        found.append({name: list(values) for name, values in row.items()})
    return found, n_cut


@torch.inference_mode()
def _outputs(model: TextModel, batch: list[Row]):
    pad = model.tokenizer.pad_token_id or 0
    names = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0}
    inputs = {
        name: _padded([row[name] for row in batch], fill, model) for name, fill in names.items() if name in batch[0]
    }
    return model.model(**inputs)


def _run(model: TextModel, tokens: list[Row], size: int, step: Step):
    for start in range(0, len(tokens), size):
        yield _outputs(model, tokens[start : start + size])
        step(min(len(tokens), start + size))


def _padded(rows: list[list[int]], fill: int, model: TextModel) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows], device=model.device)


def _finite(values: np.ndarray, model: TextModel) -> np.ndarray:
    if not np.isfinite(values).all():
        raise NonFiniteInput(f"{model.source.id} gave a number that is none.")
    return values
