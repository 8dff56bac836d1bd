# pyright: standard
"""The model's predictions with a reconstruction, zeros or the mean in the place of an activation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interp_lab.contracts.evaluation_report import ReplacementName
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.engine.attention import product_attention
from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.budget import token_budget
from interp_lab.engine.capture import capture
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.packing import lay_out, plan_passes
from interp_lab.engine.precision import matmul_precision
from interp_lab.engine.splice import Replace, splice
from interp_lab.errors import EvaluationUnfit
from interp_lab.jobs.run import Run
from interp_lab.methods.dictionary_evaluation.behaviour import Predictions, joined
from interp_lab.points import Address
from interp_lab.workflows.evaluation.measure import Subjects
from interp_lab.workflows.evaluation.texts import Text, TextTokens

_LOGITS = Address("logits")
_COPIES = 2
"""Passes whose logits are held at the same time, over what the budget counts."""

Values = Mapping[Address, Tensor]


@dataclass(frozen=True, eq=False)
class Spliced:
    """Predictions of every replaced token, by replacement; 'clean' is the model as it is."""

    predictions: dict[str, Predictions]
    groups: np.ndarray
    """Group of every token, in the order of the predictions."""
    error_term_exact: bool
    address: Address


class _Pass(NamedTuple):
    batch: TokenBatch
    mask: Tensor
    """Tokens of the rectangle whose activation is replaced `(batch * pos,)`."""
    following: Tensor
    """Id of the token after each of those, -1 at the end of a text."""
    groups: np.ndarray


def splice_all(subjects: Subjects, tokens: TextTokens, mean: Tensor, run: Run) -> Spliced:
    """Return the predictions under every replacement; `mean` is the mean activation of these tokens.

    Raises:
        EvaluationUnfit: The dictionary writes several places, or the model predicts no next token.
        HookPointUnavailable: Nothing can be put where it writes.
    """
    write = _place(tokens)
    reads = tuple(Address.parse(key) for key in tokens.places.reads if key != str(write))
    parts: dict[str, list[Predictions]] = {}
    groups: list[np.ndarray] = []
    exact: list[bool] = []
    with _fast(tokens), capture(tokens.loaded, [_LOGITS]) as forward:
        for each in _passes(tokens, write):
            run.progress(sum(map(len, groups)), tokens.n_tokens, "splicing into the model", "tokens")
            logits = forward(each.batch)[_LOGITS]
            clean = torch.log_softmax(logits.flatten(0, 1)[each.mask].float(), dim=-1)
            parts.setdefault("clean", []).append(_predictions(clean, clean, each.following))
            for name, make in _replacements(subjects, tokens, mean).items():
                with splice(tokens.loaded, write, _at(each.mask, make), reads=reads):
                    changed = forward(each.batch)[_LOGITS].flatten(0, 1)[each.mask]
                replaced = torch.log_softmax(changed.float(), dim=-1)
                parts.setdefault(name, []).append(_predictions(replaced, clean, each.following))
            if not exact:
                with splice(tokens.loaded, write, _at(each.mask, _kept(subjects, tokens)), reads=reads):
                    exact.append(torch.equal(forward(each.batch)[_LOGITS], logits))
            groups.append(each.groups)
    return Spliced(joined(parts), np.concatenate(groups), all(exact), write)


@contextmanager
def _fast(tokens: TextTokens) -> Iterator[None]:
    with matmul_precision(), fused_activations(tokens.loaded), product_attention(tokens.loaded):
        yield


def _place(tokens: TextTokens) -> Address:
    if len(tokens.places.writes) != 1:
        raise EvaluationUnfit(
            f"A dictionary that writes {len(tokens.places.writes)} places cannot be put into the model at once.",
            remedy="Ask again with splice false.",
        )
    if tokens.loaded.family.kind == "encoder":
        raise EvaluationUnfit(
            f"{tokens.loaded.source.id} reads in both directions and predicts no next token.",
            remedy="Ask again with splice false.",
        )
    return Address.parse(tokens.places.writes[0])


def _passes(tokens: TextTokens, write: Address) -> Iterator[_Pass]:
    budget = max(1, token_budget(tokens.loaded, (write, _LOGITS)) // _COPIES)
    ids = [text.ids for text in tokens.texts]
    for rows in plan_passes([len(each) for each in ids], budget, tokens.plan.row):
        rectangle = lay_out(tokens.loaded, ids, rows, packed=tokens.plan.row is not None)
        texts = [tokens.texts[index] for index in rectangle.batch.indices]
        yield _pass(texts, rectangle.batch, rectangle.flat)


def _pass(texts: Sequence[Text], batch: TokenBatch, flat: Tensor) -> _Pass:
    keep = torch.tensor([kept for text in texts for kept in text.keep], device=flat.device)
    following = torch.tensor([token for text in texts for token in (*text.ids[1:], -1)], device=flat.device)
    mask = torch.zeros(batch.ids.numel(), dtype=torch.bool, device=flat.device)
    mask[flat[keep]] = True
    groups = np.repeat([text.group for text in texts], [sum(text.keep) for text in texts])
    # The rectangle lists its texts row after row, so that kept tokens come in the order of the mask.
    return _Pass(batch, mask, following[keep], groups)


_Make = Callable[[Values, Tensor, Tensor], Tensor]
"""From what was read, what is there, and the mask to what is put at the masked tokens."""


def _replacements(subjects: Subjects, tokens: TextTokens, mean: Tensor) -> dict[ReplacementName, _Make]:
    made: dict[ReplacementName, _Make] = {
        "zero": lambda _read, own, mask: torch.zeros_like(own[mask]),
        "mean": lambda _read, own, mask: mean.to(own).expand_as(own[mask]),
    }
    for name, dictionary in subjects.items():
        made[name] = _reconstruction(dictionary, tokens)
    return made


def _reconstruction(dictionary: Dictionary, tokens: TextTokens) -> _Make:
    def make(read: Values, own: Tensor, mask: Tensor) -> Tensor:
        parts = [read.get(Address.parse(key), own)[mask] for key in tokens.places.reads]
        return dictionary.reconstruct(torch.cat(parts, dim=1).float()).to(own.dtype)

    return make


def _kept(subjects: Subjects, tokens: TextTokens) -> _Make:
    """The reconstruction with its error in place, as every edit of a latent keeps it: a change of nothing."""
    make = _reconstruction(subjects["dictionary"], tokens)
    return lambda read, own, mask: own[mask] + (make(read, own, mask) - make(read, own, mask))


def _at(mask: Tensor, make: _Make) -> Replace:
    def replace(read: Values, own: Tensor) -> Tensor:
        changed = own.clone()
        changed[mask] = make(read, own, mask)
        return changed

    return replace


def _predictions(log_probs: Tensor, clean: Tensor, following: Tensor) -> Predictions:
    """Return cross-entropy and divergence per token."""
    picked = -log_probs.gather(1, following.clamp(min=0)[:, None])[:, 0]
    loss = picked.masked_fill(following < 0, torch.nan)
    divergence = (clean.exp() * (clean - log_probs)).sum(-1)
    return Predictions(loss.double().cpu().numpy(), divergence.double().cpu().numpy())
