# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The logits of some words at the last token, as what is read of a run."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from interp_lab.engine.intervention.downstream import Downstream


@dataclass(frozen=True)
class WordLogits:
    """Words whose next-token logits are read, each less their mean: what is added to all of them changes nothing."""

    words: tuple[int, ...]
    cross_entropy: bool = False
    downstream: Downstream | None = None
    logits: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The measures, in the order of the columns."""
        return tuple(f"token {word}" for word in self.words)

    @property
    def tokens(self) -> tuple[int, ...] | None:
        """The only tokens whose logits are needed."""
        return self.words

    def read(
        self,
        logits: Float[Tensor, "row pos n_logit"],
        base: Float[Tensor, "kept n_logit"],
        ids: Int[Tensor, " whole_pos"],
    ) -> Float[Tensor, "row word"]:
        """Return the centred logits of the words; logits have a column per token, or per one of `tokens`."""
        del base, ids
        final = logits[:, -1].float()
        if final.shape[1] != len(self.words):
            final = final[:, list(self.words)]
        return (final - final.mean(1, keepdim=True)).double()
