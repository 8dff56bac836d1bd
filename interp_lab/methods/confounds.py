"""The audit of a labelled dataset before anything is ranked: what reaches the label without any model.

Each property of the surface is scored like a latent would be, with the same statistic and the same groups. What a
linear model makes of several properties, of a category or of the words is scored on held-out groups. A second function
gives the association of every latent that is left once the properties are controlled for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.adjusted import Adjusted, adjusted_separation
from interp_lab.statistics.arrays import Floats, checked_vector
from interp_lab.statistics.basis import smooth_basis
from interp_lab.statistics.held_out import held_out_scores
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

SOLVES_FROM = 0.9
"""A property whose AUROC (or one minus it) reaches this solves the dataset alone."""
ASSOCIATED_FROM = 0.6
"""A property below this is too weak to explain a latent worth showing."""
ALPHA = 0.05
"""Error rate of the whole audit that a clean dataset is called associated, shared by all properties."""

JOINT = "surface_joint"


class Verdict(StrEnum):
    """What a property alone reaches."""

    CLEAN = "clean"
    ASSOCIATED = "associated"
    SOLVES = "solves"


@dataclass(frozen=True, slots=True)
class ConfoundScore:
    """One property of the dataset and how far it alone gets."""

    name: str
    held_out: bool
    """True if a linear model was fitted and scored on other groups; False if the raw number was ranked."""
    auroc: float
    low: float
    high: float
    p: float
    verdict: Verdict

    @property
    def reach(self) -> float:
        """AUROC in the direction that helps: for a raw number at least 0.5, for a fitted score as it is."""
        return self.auroc if self.held_out else max(self.auroc, 1 - self.auroc)


@dataclass(frozen=True, slots=True)
class ConfoundAudit:
    """All properties that were looked at, strongest first."""

    scores: tuple[ConfoundScore, ...]

    @property
    def flagged(self) -> tuple[ConfoundScore, ...]:
        """Properties that solve the dataset alone; every report on this dataset must name them."""
        return tuple(score for score in self.scores if score.verdict is Verdict.SOLVES)

    @property
    def associated(self) -> tuple[ConfoundScore, ...]:
        """Properties that go with the label without solving it."""
        return tuple(score for score in self.scores if score.verdict is Verdict.ASSOCIATED)


def audit_confounds(
    sample: Sample,
    *,
    numeric: Mapping[str, ArrayLike],
    tables: Mapping[str, ArrayLike] | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> ConfoundAudit:
    """Return what each property alone reaches on the labels of `sample`.

    `numeric` holds one number per row (length, shares, position), ranked as they are and, all together and not
    necessarily linear, as `surface_joint`. `tables` holds feature tables `(n_prompts, n_features)` for a held-out
    linear model: one-hot template identity, bag of words.

    Raises:
        ShapeMismatch, NonFiniteInput: a property does not have one finite number per row.
    """
    columns = {name: checked_vector(values, sample.n_rows, name) for name, values in numeric.items()}
    fitted = dict(tables or {})
    if len(columns) > 0:
        fitted[JOINT] = smooth_basis(np.stack(list(columns.values()), axis=1), sample.n_groups)
    scores = columns | {name: held_out_scores(table, sample, seed=seed) for name, table in fitted.items()}
    if not scores:
        raise ShapeMismatch("There is no property to audit.")
    found = separation(np.stack(list(scores.values()), axis=1), sample, level=level)
    rows = zip(scores, found.auroc.tolist(), found.low.tolist(), found.high.tolist(), found.p.tolist(), strict=True)
    judged = [_judge(row, held_out=row[0] in fitted, alpha=ALPHA / len(scores)) for row in rows]
    return ConfoundAudit(tuple(sorted(judged, key=lambda score: (-score.reach, score.name))))


def control_confounds(
    values: ArrayLike, sample: Sample, *, numeric: Mapping[str, ArrayLike], level: float = 0.95
) -> Adjusted:
    """Return the separation of every latent left after a smooth function of each numeric property.

    Words are not controlled for: where the criterion is about words they are the signal, and the audit says so.

    Raises:
        ShapeMismatch, NonFiniteInput: as `adjusted_separation`.
    """
    columns: list[Floats] = [checked_vector(column, sample.n_rows, name) for name, column in numeric.items()]
    table = np.stack(columns, axis=1) if columns else np.zeros((sample.n_rows, 0))
    return adjusted_separation(values, sample, smooth_basis(table, sample.n_groups), level=level)


def _judge(row: tuple[str, float, float, float, float], *, held_out: bool, alpha: float) -> ConfoundScore:
    name, auroc, low, high, p = row
    reach = auroc if held_out else max(auroc, 1 - auroc)
    verdict = Verdict.CLEAN
    if reach >= SOLVES_FROM and p <= ALPHA:
        # Missing a solved dataset costs more than one warning too many, so this verdict is not corrected.
        verdict = Verdict.SOLVES
    elif reach >= ASSOCIATED_FROM and p <= alpha:
        verdict = Verdict.ASSOCIATED
    return ConfoundScore(name, held_out, auroc, low, high, p, verdict)
