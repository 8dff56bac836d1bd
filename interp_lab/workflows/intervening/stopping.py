# pyright: standard
"""Confirming a part at a time: which prompts each look adds, and whether the intervals are narrow enough to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp_lab.contracts.intervene_report import StoppingFacts
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS
from interp_lab.statistics.repeated_looks import METHOD, RepeatedLooks, in_order, look_sizes, repeated_looks

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Looks:
    """The planned looks at confirm prompts: positives and negatives that each adds."""

    positives: tuple[tuple[int, ...], ...]
    negatives: tuple[tuple[int, ...], ...]
    sequence: RepeatedLooks
    target: float
    """Half-width, in the metric's unit, at which there is no further look."""

    @property
    def level(self) -> float:
        """Coverage of each interval."""
        return self.sequence.nominal(LEVEL)

    def facts(self, n_looks: int, widest: float) -> StoppingFacts:
        """Return what a report says of a sequence that ended after so many looks."""
        return StoppingFacts(
            planned=self.sequence.n_groups,
            n_looks=n_looks,
            n_groups=self.sequence.n_groups[n_looks - 1],
            target=self.target,
            widest=widest,
            interval_level=round(self.level, 5),
            method=METHOD,
        )


def looks_at(
    positives: Sequence[int], negatives: Sequence[int], groups: Sequence[int], *, seed: int, target: float
) -> Looks:
    """Return the looks: whole groups in a random order, of negatives the same share as of positives."""
    on, off = (in_order([groups[i] for i in rows], seed) for rows in (positives, negatives))
    sizes = look_sizes(len(on), least=min(len(on), LEAST_CONFIRM_GROUPS))
    shares = [-(-size * len(off) // len(on)) for size in sizes]
    return Looks(
        positives=_added(positives, groups, on, sizes),
        negatives=_added(negatives, groups, off, [max(2, share) for share in shares]),
        sequence=repeated_looks(sizes),
        target=target,
    )


def _added(
    rows: Sequence[int], groups: Sequence[int], order: Sequence[int], sizes: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    place = {group: at for at, group in enumerate(order)}
    which = np.searchsorted(np.asarray(sizes), [place[groups[row]] for row in rows], side="right")
    return tuple(tuple(row for row, at in zip(rows, which, strict=True) if at == look) for look in range(len(sizes)))
