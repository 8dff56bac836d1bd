# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What a run says: numbers of its logits beside those of the unedited run, one row per edited run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp_lab.engine.intervention.downstream import DOWNSTREAM, Downstream

LOGIT_DIFFERENCE: Final = "logit_difference"
"""Mean logit of the targets minus mean logit of the alternatives, at the last token."""
LOG_PROBABILITY: Final = "log_probability"
"""Log of the probability that the next token is one of the targets, in nats."""
KL: Final = "kl"
"""Divergence of the edited next-token distribution from the unedited one at the last token, in nats."""
CROSS_ENTROPY: Final = "cross_entropy"
"""Mean of minus the log-probability of each token of the prompt after the first, in nats."""


@runtime_checkable
class Measures(Protocol):
    """What is read of a run, whatever it is."""

    @property
    def names(self) -> tuple[str, ...]:
        """The measures, in the order of the columns."""
        ...

    @property
    def tokens(self) -> tuple[int, ...] | None:
        """The only tokens whose logits are needed, or None where all are."""
        ...

    @property
    def cross_entropy(self) -> bool:
        """Whether logits at every token are needed."""
        ...

    @property
    def downstream(self) -> Downstream | None:
        """A later unit that is read as well."""
        ...

    @property
    def logits(self) -> bool:
        """Whether logits are read at all."""
        ...

    def read(
        self,
        logits: Float[Tensor, "row pos n_logit"],
        base: Float[Tensor, "kept n_logit"],
        ids: Int[Tensor, " whole_pos"],
    ) -> Float[Tensor, "row measure"]:
        """Return the measures of edited logits."""
        ...


@dataclass(frozen=True)
class Behaviour:
    """The words whose prediction is the behaviour, and what else is read of a run."""

    targets: tuple[int, ...]
    alternatives: tuple[int, ...]
    cross_entropy: bool = False
    """Needs logits at every token, which costs as much again in models with large vocabularies."""
    distribution: bool = True
    """Whether the whole next-token distribution is read; without it only the logits of the words are computed."""
    downstream: Downstream | None = None
    """A later unit that is read as well."""
    logits: bool = True
    """Whether logits are read at all; without them passes end at the later unit."""

    @property
    def names(self) -> tuple[str, ...]:
        """The measures, in the order of the columns."""
        later = () if self.downstream is None else (DOWNSTREAM,)
        if not self.logits:
            return later
        spread = (LOG_PROBABILITY, KL) if self.distribution else ()
        return (LOGIT_DIFFERENCE, *spread, *((CROSS_ENTROPY,) if self.cross_entropy else ()), *later)

    @property
    def tokens(self) -> tuple[int, ...] | None:
        """The only tokens whose logits are needed, or None where all are."""
        whole = self.distribution or self.cross_entropy or not self.logits
        return None if whole else (*self.targets, *self.alternatives)

    def read(
        self,
        logits: Float[Tensor, "row pos n_logit"],
        base: Float[Tensor, "kept n_logit"],
        ids: Int[Tensor, " whole_pos"],
    ) -> Float[Tensor, "row measure"]:
        """Return the measures of edited logits; they may lack leading positions, which are then as in `base`.

        That of a later unit is not among them.

        Logits have a column per token of the vocabulary, or per one of `tokens`.
        """
        final, usual = logits[:, -1].float(), base[-1].float()
        on, off = self._columns(final.shape[1])
        columns = [final[:, on].mean(1) - final[:, off].mean(1)]
        if self.distribution:
            columns += _spread(final, usual, on)
        if self.cross_entropy:
            columns.append(_cross_entropy(logits, base, ids))
        return torch.stack(columns, dim=1).double()

    def _columns(self, n_logits: int) -> tuple[list[int], list[int]]:
        n_on, tokens = len(self.targets), self.tokens
        if tokens is not None and n_logits == len(tokens):
            return list(range(n_on)), list(range(n_on, n_logits))
        return list(self.targets), list(self.alternatives)


def _spread(final: Float[Tensor, "row n_vocab"], usual: Float[Tensor, " n_vocab"], on: list[int]) -> list[Tensor]:
    """Log-probability of the targets and the divergence, without writing down the distribution of every row."""
    total, usual_total = final.logsumexp(1), usual.logsumexp(0)
    divergence = (usual - final) @ (usual - usual_total).exp() + total - usual_total
    return [final[:, on].logsumexp(1) - total, divergence.clamp(min=0.0)]


def _cross_entropy(logits: Tensor, base: Tensor, ids: Tensor) -> Float[Tensor, " row"]:
    n_pos, n_new = len(ids), logits.shape[1]
    if n_pos < 2:
        return logits.new_zeros(len(logits))
    before = _nats(base[None, : n_pos - n_new], ids[1 : n_pos - n_new + 1])
    after = _nats(logits[:, :-1], ids[n_pos - n_new + 1 :])
    return (before.sum(1) + after.sum(1)) / (n_pos - 1)


def _nats(logits: Tensor, following: Tensor) -> Float[Tensor, "row pos"]:
    wide = logits.float()
    chosen = wide.gather(-1, following.expand(len(logits), -1).unsqueeze(-1)).squeeze(-1)
    return wide.logsumexp(-1) - chosen
