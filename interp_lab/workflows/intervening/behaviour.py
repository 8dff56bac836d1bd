# pyright: standard
"""The behaviour: which tokens stand for it, given exactly or chosen on explore prompts, and whether it can move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.inspect_report import ReasonCode
from interp_lab.contracts.intervene import Metric
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.resume import base_runs
from interp_lab.engine.intervention.run import CPU_TOKENS
from interp_lab.errors import TargetTokensUnclear
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt, special_ids

N_CHOSEN = 5
"""Tokens chosen on each side."""
SATURATED, NEAR_ZERO = 0.99, 1e-4
"""Probability of the targets above, or below, which its logarithm cannot rise, or says little."""
STILL = 1e-4
"""Largest change of the metric, over every edit and control, below which it does not move at all."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The tokens that stand for the behaviour."""

    targets: tuple[int, ...]
    alternatives: tuple[int, ...]
    how: Literal["given", "chosen"]
    target_probability: float
    """Median over explore positives."""

    def behaviour(self, *, cross_entropy: bool, distribution: bool = True) -> Behaviour:
        """Return what is read of each run."""
        return Behaviour(self.targets, self.alternatives, cross_entropy, distribution)


class Words(Protocol):
    """What says which words are the behaviour, as requests do; none of a side means that they are chosen."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Words that count."""
        ...

    @property
    def alternatives(self) -> tuple[str, ...]:
        """Words they are compared with."""
        ...


def choose(
    loaded: LoadedModel,
    request: Words,
    positives: Sequence[TokenizedPrompt],
    negatives: Sequence[TokenizedPrompt],
    *,
    check: Callable[[], None],
    wordlike: bool = False,
) -> Chosen:
    """Return the tokens of a request; those not given are the tokens that explore positives predict more, or less.

    `wordlike` leaves out tokens without a letter or a digit where there are others: text is not scored by its commas.

    Raises:
        TargetTokensUnclear: A word is not exactly one token, stands on both sides, or no token tells the sides apart.
    """
    on = _next_token(loaded, positives, check)
    shift = on.mean(axis=0) - _next_token(loaded, negatives, check).mean(axis=0)
    shift[list(special_ids(loaded.tokenizer))] = 0.0
    targets = _exact(loaded, request.targets)
    alternatives = _exact(loaded, request.alternatives)
    free = shift.copy()
    free[[*targets, *alternatives]] = 0.0
    how = "given" if targets and alternatives else "chosen"
    keeps = partial(_is_wordlike, loaded) if wordlike else None
    targets = targets or _first(np.argsort(-free)[: int((free > 0).sum())], keeps)
    alternatives = alternatives or _first(np.argsort(free)[: int((free < 0).sum())], keeps)
    if not targets or not alternatives or set(targets) & set(alternatives):
        raise TargetTokensUnclear("Targets and alternatives must be different tokens, at least one of each.")
    return Chosen(targets, alternatives, how, float(np.median(on[:, list(targets)].sum(axis=1))))


def _first(order: NDArray[np.intp], keeps: Callable[[int], bool] | None) -> tuple[int, ...]:
    """The first of these tokens, those that are kept if there are any."""
    kept = islice((int(i) for i in order if keeps is None or keeps(int(i))), N_CHOSEN)
    return tuple(kept) or tuple(int(i) for i in order[:N_CHOSEN])


def _is_wordlike(loaded: LoadedModel, token: int) -> bool:
    return any(letter.isalnum() for letter in str(loaded.tokenizer.decode([token])))


def words(loaded: LoadedModel, ids: Sequence[int]) -> tuple[str, ...]:
    """Return tokens as text."""
    return tuple(str(loaded.tokenizer.decode([token])) for token in ids)


def flags(metric: Metric, chosen: Chosen, largest_change: float) -> tuple[ReasonCode, ...]:
    """Return why the metric may be unable to move."""
    found: list[ReasonCode] = []
    p = chosen.target_probability
    if metric == "log_probability" and p > SATURATED:
        text = f"The targets already have probability {p:.4f} on most positives; more of it cannot show."
        found.append(ReasonCode(code="saturated", text=text))
    if metric == "log_probability" and p < NEAR_ZERO:
        text = f"The targets have probability {p:.1e} on most positives; changes of it are not behaviour."
        found.append(ReasonCode(code="near_zero", text=text))
    if largest_change < STILL:
        text = f"No edit and no control moves the metric by more than {largest_change:.1e}."
        found.append(ReasonCode(code="does_not_move", text=text))
    return tuple(found)


def _next_token(loaded: LoadedModel, prompts: Sequence[TokenizedPrompt], check: Callable[[], None]) -> Floats:
    """Probabilities after each prompt; prompts of one length share a pass, so that nothing is padded."""
    found: dict[int, Floats] = {}
    by_length = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for length, same in groupby(by_length, key=lambda place: len(prompts[place])):
        alike, n = list(same), max(1, CPU_TOKENS // length)
        for places in (alike[start : start + n] for start in range(0, len(alike), n)):
            check()
            runs = base_runs(loaded, [prompts[i].ids for i in places], [], keep_cache=False, final=True)
            for place, run in zip(places, runs, strict=True):
                found[place] = torch.softmax(run.logits[-1].double(), dim=-1).cpu().numpy()
    return np.stack([found[place] for place in range(len(prompts))])


def _exact(loaded: LoadedModel, texts: Sequence[str]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_one_token(loaded, text) for text in texts))


def _one_token(loaded: LoadedModel, text: str) -> int:
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    unknown = loaded.tokenizer.unk_token_id
    if isinstance(ids, list) and len(ids) == 1 and ids[0] != unknown:
        return int(ids[0])
    pieces = [str(loaded.tokenizer.decode([token])) for token in ids] if isinstance(ids, list) else []
    raise TargetTokensUnclear(f"{text!r} is not one token of this model but {pieces[:6]}.")
