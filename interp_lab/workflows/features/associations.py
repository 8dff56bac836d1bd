"""How one unit goes with the metrics and labels of its store: the statistics of `query_activations`, for one unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.contracts.features import FeatureAssociation
from interp_lab.statistics.block_association import Association, Target, associate
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.features.prepared import prepared
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.signal import Signal
from interp_lab.workflows.querying.columns import Source, unit_blocks

MAX_TARGETS = 40
"""Targets that are tested while the caller waits; more are left to query associate."""


class Associated(NamedTuple):
    """Associations, strongest first, and how many targets were not tested."""

    found: tuple[FeatureAssociation, ...]
    n_tested: int
    n_left: int


def associated(signal: Signal, n: int) -> Associated:
    """Return the strongest associations of a unit; q is over all targets tested."""
    known = prepared(signal.view)
    targets = known.targets.usable[:MAX_TARGETS]
    if not targets:
        return Associated((), 0, 0)
    source = Source(known.rows, signal.unit.column)
    ((_, (block,)),) = unit_blocks([source], np.array([signal.unit.index]))
    tests = [associate(block, target) for target in targets]
    q = benjamini_hochberg([float(test.p[0]) for test in tests])
    groups = [target.n_groups(known.rows.clusters) for target in targets]
    rows = [_row(*pair) for pair in zip(targets, tests, q.tolist(), groups, strict=True)]
    order = sorted(range(len(rows)), key=lambda place: -_strength(rows[place]))
    return Associated(tuple(rows[place] for place in order[:n]), len(targets), len(known.targets.usable) - len(targets))


def _row(target: Target, test: Association, q: float, groups: int) -> FeatureAssociation:
    return FeatureAssociation(
        target=target.name,
        measure="AUROC" if target.is_label else "r",
        estimate=rounded(float(test.estimate[0])),
        low=rounded(float(test.low[0])),
        high=rounded(float(test.high[0])),
        q=rounded(q),
        rows=target.n_rows,
        groups=groups,
    )


def _strength(row: FeatureAssociation) -> float:
    """|r| or |2 AUROC - 1|, both 0 to 1."""
    return abs(2 * row.estimate - 1) if row.measure == "AUROC" else abs(row.estimate)
