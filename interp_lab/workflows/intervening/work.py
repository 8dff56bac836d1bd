"""How much work an intervention is: what its passes multiply and compare, counted as the engine runs them.

Torch-free, so that a plan can say it. Effects are read with the whole next-token distribution, controls only with the
logits of the words; negatives give the cross-entropy of every token; each needs an unedited run of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import macs_per_token
from interp_lab.points import Address, first_block
from interp_lab.workflows.intervening.cost import Work
from interp_lab.workflows.intervening.plan import EFFECT_ALIKE, edited_at_once, n_sets, strengths_of

_TRIMMED = 0.7
"""Share of the last block that is not computed where only the last position of it matters."""
_BACKWARD = 3
"""Passes that one with gradients is worth."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Positives and negatives of both halves."""

    explore: tuple[int, int]
    confirm: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Edited:
    """Edited runs of each prompt of a part that are read alike."""

    n_rows: int
    n_blocks: float
    """Blocks that run again, mean over the rows."""


class Sizes(NamedTuple):
    """What of a model decides cost; multiply-adds are those of one token, 0 where its files do not tell."""

    block: float
    """Multiply-adds of a block."""
    head: float
    """From the last block to the vocabulary."""
    n_layers: int
    n_heads: int


@dataclass(slots=True)
class _Counted:
    """Work as it adds up."""

    sizes: Sizes
    lengths: Mapping[int, int]
    """Prompts by their number of tokens."""
    last_only: bool
    """Whether edits touch the last token only, so that the tokens before it are not run again."""
    n_prompts: int = 0
    n_rows: int = 0
    macs: float = 0.0
    n_scores: float = 0.0

    def unedited(self, n_prompts: int, *, every_token: bool) -> None:
        """Count one unedited run of so many of the prompts; `every_token` reads logits at each."""
        for length, n in self._shares(n_prompts):
            self._blocks(n, length, length, self.sizes.n_layers)
            self._logits(n * (length if every_token else 1))

    def edited(self, n_prompts: int, rows: _Edited, *, every_token: bool, logits: bool) -> None:
        """Count edited runs of so many of the prompts; without `logits` only those of a few words are computed."""
        if not n_prompts or not rows.n_rows:
            return
        n_blocks = rows.n_blocks - (0.0 if every_token or self.last_only else _TRIMMED * min(1.0, rows.n_blocks))
        self.n_rows += n_prompts * rows.n_rows
        for length, n in self._shares(n_prompts):
            seen = 1 if self.last_only else length
            self._blocks(n * rows.n_rows, seen, length, n_blocks)
            if logits:
                self._logits(n * rows.n_rows * (seen if every_token else 1))

    def _blocks(self, n_runs: float, n_seen: int, length: int, n_blocks: float) -> None:
        self.macs += n_runs * n_seen * n_blocks * self.sizes.block
        self.n_scores += n_runs * n_seen * length * n_blocks * self.sizes.n_heads

    def _logits(self, n: float) -> None:
        self.macs += n * self.sizes.head

    def _shares(self, n_prompts: int) -> list[tuple[int, float]]:
        n_texts = max(1, sum(self.lengths.values()))
        return [(length, n * n_prompts / n_texts) for length, n in self.lengths.items()]


def work_of(
    request: InterveneRequest,
    facts: ModelFacts,
    halves: Halves,
    *,
    kinds: Sequence[int],
    blocks: Sequence[int],
    lengths: Sequence[int],
) -> Work:
    """Return the work of a request.

    Per unit, `kinds` has the controls per control number and `blocks` the blocks that run again; `lengths` are the
    tokens of each prompt.
    """
    head = (facts.n_vocab or 0) * facts.d_model
    sizes = Sizes(macs_per_token(facts, 0) or 0, head, facts.n_layers, facts.n_heads or 1)
    return work_at(request, sizes, halves, kinds=kinds, blocks=blocks, lengths=Counter(lengths))


def work_at(
    request: InterveneRequest,
    sizes: Sizes,
    halves: Halves,
    *,
    kinds: Sequence[int],
    blocks: Sequence[int],
    lengths: Mapping[int, int],
) -> Work:
    """Return the work of a request with a model of which only sizes are known, on prompts by their number of tokens."""
    n_prompts = sum((*halves.explore, *halves.confirm))
    found = _Counted(sizes, lengths, request.where == "last", n_prompts)
    found.unedited(n_prompts, every_token=False)  # the units' own values
    found.unedited(sum(halves.explore), every_token=False)  # the words
    lean = request.metric in ("logit_difference", "score", "downstream")
    groups = edited_at_once(request, len(kinds))
    n_written = 0
    for (positive, negative), n_edits in ((halves.explore, _doses(request)), (halves.confirm, len(request.edits))):
        effects = _rows(groups, [1] * len(kinds), blocks, n_edits)
        controls = [EFFECT_ALIKE - 1 + request.n_controls * kind for kind in kinds]
        beside = _rows(groups, controls, blocks, n_edits)
        for rows, logits in ((effects, True), (beside, not lean)):
            found.unedited(positive, every_token=False)
            found.edited(positive, rows, every_token=False, logits=logits)
        found.unedited(negative, every_token=True)
        found.edited(negative, effects, every_token=True, logits=True)
        n_written += (positive * (effects.n_rows + beside.n_rows) + negative * effects.n_rows) * _tokens(request)
    _searched(found, request, halves.explore[0], blocks)
    whole = sizes.block * sizes.n_layers + sizes.head
    return Work(
        n_prompts=found.n_prompts,
        n_rows=found.n_rows,
        macs=found.macs + n_written * whole,
        n_written=n_written,
        n_scores=found.n_scores,
    )


def blocks_after(address: Address | None, n_layers: int) -> int:
    """Return how many blocks run again when something at an address is edited."""
    return n_layers if address is None else max(0, n_layers - first_block(address))


def _searched(found: _Counted, request: InterveneRequest, n_positive: int, blocks: Sequence[int]) -> None:
    """Count what chooses units before they are measured: a screen, or leaving out what is not needed."""
    deepest = max(blocks, default=0)
    if sets := n_sets(request, len(blocks)):
        rounds = len(blocks)
        found.n_prompts += rounds * n_positive
        for _ in range(rounds):
            found.unedited(n_positive, every_token=False)
            found.edited(n_positive, _Edited(ceil(sets / rounds), deepest), every_token=False, logits=True)
    if (screen := request.screen) is not None:
        for _ in range(_BACKWARD):
            found.unedited(n_positive, every_token=False)
        rows = _Edited(screen.n + screen.n_sample, deepest)
        found.edited(n_positive, rows, every_token=False, logits=False)


def _rows(groups: Sequence[tuple[int, ...]], each: Sequence[int], blocks: Sequence[int], n_edits: int) -> _Edited:
    rows = [n_edits * min(each[i] for i in places) for places in groups]
    again = [max(blocks[i] for i in places) for places in groups]
    n = sum(rows)
    return _Edited(n, sum(r * b for r, b in zip(rows, again, strict=True)) / n if n else 0.0)


def _tokens(request: InterveneRequest) -> int:
    return 0 if request.scorer is None else request.scorer.max_new_tokens


def _doses(request: InterveneRequest) -> int:
    return sum(len(strengths_of(name, request)) for name in request.edits)
