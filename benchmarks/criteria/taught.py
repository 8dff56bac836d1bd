"""Directions that explore groups teach, called and confirmed as `inspect` does, and compared between networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.inspect_evidence import LearnedMethod
from interp_lab.methods.association import associate
from interp_lab.methods.taught_in_order import blocks_of, in_order
from interp_lab.statistics.auroc_difference import auroc_difference
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.inspection.learning import learn
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.inspection.tables import LEVEL, Pooled

METHODS: tuple[LearnedMethod, ...] = ("difference_of_means", "linear_discriminant", "principal_component")
COMPONENTS = 3


@dataclass(frozen=True, eq=False)
class Taught:
    """What was called on explore groups, and the scores of confirm rows along the direction that ranks first."""

    found: dict[str, Any]
    scores: NDArray[np.float64]
    held: Sample

    def beyond(self, other: Taught) -> dict[str, float]:
        """Return by how much the AUROC on confirm rows exceeds that of another network's, paired."""
        difference = auroc_difference(self.scores, other.scores, self.held)
        return {key: round(getattr(difference, key), 4) for key in ("estimate", "low", "high")}


def taught(table: Pooled, plan: Design, sample: Sample, *, seed: int) -> Taught:
    """Return the directions of every address: blocks in order rank, all explore groups teach what is confirmed."""
    rows, held = plan.rows("explore"), plan.rows("confirm")
    known = sample.take(rows)
    blocks = blocks_of(known, seed=plan.split.seed)
    ordered: list[NDArray[np.float64]] = []
    confirm: list[NDArray[np.float64]] = []
    for columns in table.columns.values():
        values = table.values[rows, columns].astype(np.float64)
        for method in METHODS:
            found = learn(method, values, known, blocks, n_components=COMPONENTS, seed=seed)
            ordered.append(in_order(values @ found.whole.T, [values @ each.T for each in found.earlier], blocks))
            confirm.append(table.values[held, columns] @ found.whole.T)
    late = np.flatnonzero(blocks > 0)
    explore = associate(np.concatenate(ordered, axis=1)[late], known.take(late), level=LEVEL)
    best = int(explore.strongest(1)[0])
    sign = 1.0 if explore.auroc[best] >= 0.5 else -1.0
    scores = sign * np.concatenate(confirm, axis=1)[:, best]
    seen = associate(scores[:, None], sample.take(held), level=LEVEL)
    numbers = {name: round(float(getattr(seen, name)[0]), 4) for name in ("auroc", "low", "high")}
    counted = {
        "n_tested": explore.n_latents,
        "n_q05": int((explore.q <= 0.05).sum()),
        "n_p05": int((explore.p <= 0.05).sum()),
        "best_confirmed": not numbers["low"] <= 0.5 <= numbers["high"],
    }
    return Taught(counted | numbers, scores, sample.take(held))
