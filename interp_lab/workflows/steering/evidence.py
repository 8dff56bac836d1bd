# pyright: standard
"""What the coordinate along a direction says of the label: on the prompts that made it, and on the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.contracts.steering_vector import HeldOut
from interp_lab.evidence.facts import AdjustedReading, AssociationEvidence, Reading
from interp_lab.evidence.grade import Grading, grade
from interp_lab.methods.association import Association, associate
from interp_lab.methods.confounds import control_confounds
from interp_lab.workflows.inspection.measure import LEVEL, Design


@dataclass(frozen=True, eq=False)
class Seen:
    """How a direction goes with the label."""

    explore_auroc: float
    held_out: HeldOut | None
    evidence: AssociationEvidence

    @property
    def grading(self) -> Grading:
        """What the association alone carries."""
        return grade(self.evidence)


def explore_strength(coordinates: NDArray[np.float64], plan: Design) -> float:
    """Return how far the AUROC on explore prompts lies from a half."""
    rows = plan.rows("explore")
    return abs(float(associate(coordinates[rows][:, None], plan.sample.take(rows), level=LEVEL).auroc[0]) - 0.5)


def look(coordinates: NDArray[np.float64], plan: Design, n_tried: int, *, explore_q: float | None = None) -> Seen:
    """Return the association of one coordinate; `n_tried` directions were compared on explore prompts.

    `explore_q` is that of a report which ranked the direction, instead of the p of the prompts that taught it.
    """
    column = coordinates[:, None]
    first, second = plan.rows("explore"), plan.rows("confirm")
    explore = associate(column[first], plan.sample.take(first), level=LEVEL)
    q = min(1.0, float(explore.p[0]) * n_tried) if explore_q is None else explore_q
    confirm, left, held = None, None, None
    if second.size:
        sample = plan.sample.take(second)
        found = associate(column[second], sample, level=LEVEL)
        surface = {name: feature[second] for name, feature in plan.surface.items()}
        adjusted = control_confounds(column[second], sample, numeric=surface, level=LEVEL)
        confirm = _reading(found, plan.split.keys("confirm"), float(found.q[0]))
        numbers = (float(adjusted.auroc[0]), float(adjusted.low[0]), float(adjusted.high[0]))
        left = AdjustedReading(*numbers, adjusted.separable)
        held = HeldOut(
            auroc=round(confirm.auroc, 4),
            low=round(confirm.low, 4),
            high=round(confirm.high, 4),
            n_groups=min(confirm.n_positive_groups, confirm.n_negative_groups),
        )
    flagged = [score.name for score in plan.audit.flagged]
    evidence = AssociationEvidence(
        explore=_reading(explore, plan.split.keys("explore"), q),
        confirm=confirm,
        adjusted=left,
        solved_by=tuple(name for name in flagged if name != BAG_OF_WORDS),
        words_solve=BAG_OF_WORDS in flagged,
    )
    return Seen(round(evidence.explore.auroc, 4), held, evidence)


def _reading(found: Association, rows: frozenset[str], q: float) -> Reading:
    numbers = (float(found.auroc[0]), float(found.low[0]), float(found.high[0]))
    return Reading(*numbers, q, found.n_positive_groups, found.n_negative_groups, rows)
