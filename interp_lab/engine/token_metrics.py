# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Numbers of every token, from the text and from the model's predictions: a table of metrics and what each may look at.

All are aligned with the row of the token that they are named for; where one is not defined it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.engine.pieces import Piece
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

Floats = NDArray[np.float32]
TokenClass = Literal["special", "space", "word", "number", "punctuation", "mixed"]


@dataclass(frozen=True, eq=False)
class Scene:
    """One piece of a document as a metric sees it."""

    document: TokenizedPrompt
    """The whole document, with everything the rows say about it."""
    piece: Piece
    """Which part of it went through the model."""
    logits: Float[Tensor, "pos n_vocab"] | None
    """Next-token logits at every token of the piece, context included; None if no metric asks for them."""
    values: Mapping[Address, Tensor]
    """Activations `(pos, width)` at every token of the piece, context included."""

    @property
    def positions(self) -> range:
        """Positions in the document of the piece's own tokens, one per row."""
        return range(self.piece.first, self.piece.first + self.piece.n_own)

    def own_log_probs(self) -> Float[Tensor, "n_own n_vocab"]:
        """Return the float32 log-probabilities of what follows each own token."""
        assert self.logits is not None
        return torch.log_softmax(self.logits[self.piece.own].float(), dim=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMetric:
    """A number per token, by name. `compute` returns one value for each own token of the scene's piece."""

    name: str
    compute: Callable[[Scene], Sequence[float] | NDArray[np.floating]]
    unit: str = ""
    description: str = ""
    needs_logits: bool = False


def loss(scene: Scene) -> Floats:
    """Return minus the log-probability of the token that follows each row's token; NaN at the end of the document."""
    following = [scene.document.ids[p + 1] if p + 1 < len(scene.document) else -1 for p in scene.positions]
    return _nats(scene.own_log_probs(), following)


def surprisal(scene: Scene) -> Floats:
    """Return minus the log-probability of each row's own token; NaN where nothing before it was read."""
    assert scene.logits is not None
    piece = scene.piece
    rows = scene.logits[max(0, piece.lead - 1) : piece.lead + piece.n_own - 1].float()
    own = list(piece.ids[piece.own])
    if piece.lead > 0:
        return _nats(torch.log_softmax(rows, dim=-1), own)
    return np.concatenate([np.full(1, np.nan, np.float32), _nats(torch.log_softmax(rows, dim=-1), own[1:])])


def entropy(scene: Scene) -> Floats:
    """Return the entropy of the prediction at each row's token."""
    log_probs = scene.own_log_probs().clamp(min=torch.finfo(torch.float32).min)  # a masked token adds 0, not NaN
    return _numpy(-(log_probs.exp() * log_probs).sum(dim=-1))


def position(scene: Scene) -> Floats:
    """Return the position in the document, from 0."""
    return np.asarray(scene.positions, np.float32)


def repetition(scene: Scene) -> Floats:
    """Return how often the token stood in the document before."""
    counts: dict[int, int] = {}
    seen: list[int] = []
    for token in scene.document.ids[: scene.positions.stop]:
        seen.append(counts.get(token, 0))
        counts[token] = seen[-1] + 1
    return np.asarray(seen[scene.positions.start :], np.float32)


def target_metrics(kind: str, token_id: int, number: int, text: str) -> TokenMetric:
    """Return the metric `kind` (`target_logit`, `target_logprob`, `target_rank`) of one target token."""

    def logit(scene: Scene) -> Floats:
        assert scene.logits is not None
        return _numpy(scene.logits[scene.piece.own, token_id])

    def logprob(scene: Scene) -> Floats:
        return _numpy(scene.own_log_probs()[:, token_id])

    def rank(scene: Scene) -> Floats:
        assert scene.logits is not None
        own = scene.logits[scene.piece.own]
        return _numpy((own > own[:, token_id, None]).sum(dim=-1) + 1)

    compute, unit = {
        "target_logit": (logit, "logits"),
        "target_logprob": (logprob, "nats"),
        "target_rank": (rank, "place, 1 is the likeliest"),
    }[kind]
    described = f"{kind.removeprefix('target_')} of the next token being {text!r} (id {token_id})"
    return TokenMetric(name=f"{kind}.{number}", compute=compute, unit=unit, description=described, needs_logits=True)


BUILT_IN: Mapping[str, TokenMetric] = {
    metric.name: metric
    for metric in (
        TokenMetric(
            name="loss", compute=loss, unit="nats", needs_logits=True, description="cross-entropy of the next token"
        ),
        TokenMetric(
            name="surprisal",
            compute=surprisal,
            unit="nats",
            needs_logits=True,
            description="cross-entropy of the token",
        ),
        TokenMetric(
            name="entropy", compute=entropy, unit="nats", needs_logits=True, description="entropy of the prediction"
        ),
        TokenMetric(name="position", compute=position, unit="tokens", description="position in the document"),
        TokenMetric(name="repetition", compute=repetition, unit="times", description="earlier uses in the document"),
    )
}
"""Metrics that need nothing but a name."""


def token_class(piece: str, *, special: bool) -> TokenClass:
    """Return what kind of text a token shows."""
    text = piece.strip()
    if special:
        return "special"
    if not text:
        return "space"
    if text.isalpha():
        return "word"
    if text.isnumeric():
        return "number"
    return "mixed" if any(character.isalnum() for character in text) else "punctuation"


def _nats(log_probs: Tensor, tokens: Sequence[int]) -> Floats:
    """Minus the log-probability of one token per row; NaN where the token is -1."""
    wanted = torch.tensor(tokens, dtype=torch.long, device=log_probs.device)
    picked = -log_probs.gather(1, wanted.clamp(min=0).unsqueeze(1)).squeeze(1)
    return _numpy(picked.masked_fill(wanted < 0, torch.nan))


def _numpy(values: Tensor) -> Floats:
    return values.float().cpu().numpy()
