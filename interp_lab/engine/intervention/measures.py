# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What a run says: numbers of its logits beside those of the unedited run, one row per edited run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

LOGIT_DIFFERENCE: Final = "logit_difference"
"""Mean logit of the targets minus mean logit of the alternatives, at the last token."""
LOG_PROBABILITY: Final = "log_probability"
"""Log of the probability that the next token is one of the targets, in nats."""
KL: Final = "kl"
"""Divergence of the edited next-token distribution from the unedited one at the last token, in nats."""
CROSS_ENTROPY: Final = "cross_entropy"
"""Mean of minus the log-probability of each token of the prompt after the first, in nats."""


@dataclass(frozen=True)
class Behaviour:
    """The words whose prediction is the behaviour, and what else is read of a run."""

    targets: tuple[int, ...]
    alternatives: tuple[int, ...]
    cross_entropy: bool = False
    """Needs logits at every token, which costs as much again in models with large vocabularies."""

    @property
    def names(self) -> tuple[str, ...]:
        """The measures, in the order of the columns."""
        return (LOGIT_DIFFERENCE, LOG_PROBABILITY, KL, *((CROSS_ENTROPY,) if self.cross_entropy else ()))

    def read(
        self,
        logits: Float[Tensor, "row pos n_vocab"],
        base: Float[Tensor, "base_pos n_vocab"],
        ids: Int[Tensor, " base_pos"],
    ) -> Float[Tensor, "row measure"]:
        """Return the measures of edited logits; they may lack leading positions, which are then as in `base`."""
        final, usual = logits[:, -1].float(), base[-1].float()
        log_p, log_q = usual.log_softmax(-1), final.log_softmax(-1)
        columns = [
            final[:, list(self.targets)].mean(1) - final[:, list(self.alternatives)].mean(1),
            log_q[:, list(self.targets)].logsumexp(1),
            (log_p.exp() * (log_p - log_q)).sum(1).clamp(min=0.0),
        ]
        if self.cross_entropy:
            columns.append(_cross_entropy(logits, base, ids))
        return torch.stack(columns, dim=1).double()


def _cross_entropy(logits: Tensor, base: Tensor, ids: Tensor) -> Float[Tensor, " row"]:
    n_pos, n_new = len(ids), logits.shape[1]
    if n_pos < 2:
        return logits.new_zeros(len(logits))
    before = _nats(base[None, : n_pos - n_new], ids[1 : n_pos - n_new + 1])
    after = _nats(logits[:, :-1], ids[n_pos - n_new + 1 :])
    return (before.sum(1) + after.sum(1)) / (n_pos - 1)


def _nats(logits: Tensor, following: Tensor) -> Float[Tensor, "row pos"]:
    log_probs = logits.float().log_softmax(-1)
    return -log_probs.gather(-1, following.expand(len(logits), -1).unsqueeze(-1)).squeeze(-1)
