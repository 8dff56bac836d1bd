# pyright: standard
"""From measured arrays to the cards of a report: one per described coordinate, graded with its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect_report import (
    Context,
    CoordinateCard,
    LayerRow,
    Measured,
    ReasonCode,
    Specificity,
    SplitStatistics,
)
from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.evidence.facts import AdjustedReading, AssociationEvidence, Reading
from interp_lab.evidence.grade import Q_LEVEL, grade
from interp_lab.evidence.split import Part
from interp_lab.methods.association import Association
from interp_lab.methods.specificity import Contrast
from interp_lab.workflows.inspection.edited.tested import NOTHING, Merged
from interp_lab.workflows.inspection.measure import Design, Findings
from interp_lab.workflows.inspection.tables import Table

INTERVAL_METHOD = "Wilson, on the variance between prompt groups"
CONTRASTS_SHOWN = 12
DIGITS = 4


def coordinate_cards(
    pooled: Table,
    plan: Design,
    findings: Findings,
    contexts: Mapping[int, tuple[Context, ...]],
    *,
    names: Sequence[str] | None = None,
    edits: Merged = NOTHING,
) -> tuple[CoordinateCard, ...]:
    """Return one card per described column, strongest first; contexts are per column, names as the source has them."""
    cards = [
        _card(pooled, plan, findings, place=place, contexts=contexts[findings.columns[place]], edits=edits)
        for place in range(findings.n_described)
    ]
    if names is None:
        return tuple(cards)
    own = findings.columns
    return tuple(card.model_copy(update={"name": names[own[place]]}) for place, card in enumerate(cards))


def sign_of(findings: Findings, column: int) -> int:
    """Return 1 if the column is higher on positives of the explore rows, else -1."""
    return 1 if findings.explore.auroc[column] >= 0.5 else -1


def layer_rows(pooled: Table, findings: Findings) -> tuple[LayerRow, ...]:
    """Return the profile over addresses: the best coordinate of each, and how many are significant."""
    return tuple(_layer_row(str(a), columns, findings, pooled) for a, columns in pooled.columns.items())


def _layer_row(address: str, columns: slice, findings: Findings, pooled: Table) -> LayerRow:
    explore = findings.explore
    best = int(explore.strongest(1, columns)[0])
    confirm = findings.confirm
    seen_again = None
    if confirm is not None:
        auroc = float(confirm.association.auroc[findings.columns.index(best)])
        seen_again = auroc if sign_of(findings, best) > 0 else 1 - auroc
    return LayerRow(
        address=address,
        n_coordinates=columns.stop - columns.start,
        best_index=pooled.locate(best)[1],
        best_auroc=_rounded(0.5 + abs(float(explore.auroc[best]) - 0.5)),
        best_confirm_auroc=None if seen_again is None else _rounded(seen_again),
        n_significant=int(np.sum(explore.q[columns] <= Q_LEVEL)),
    )


def _card(
    pooled: Table, plan: Design, findings: Findings, *, place: int, contexts: tuple[Context, ...], edits: Merged
) -> CoordinateCard:
    column = findings.columns[place]
    address, index = pooled.locate(column)
    association = _evidence(plan, findings, place)
    alone, causal = grade(association), edits.shown(column)
    graded = grade(association, edits.evidence(column)) if causal else alone
    confirm = findings.confirm
    return CoordinateCard(
        rank=_rank(findings, place),
        address=str(address),
        index=index,
        sign=1 if sign_of(findings, column) > 0 else -1,
        grade=graded.grade,
        reasons=tuple(ReasonCode(code=reason.value, text=reason.meaning) for reason in graded.reasons),
        explore=_statistics("explore", findings.explore, column, plan),
        confirm=None if confirm is None else _statistics("confirm", confirm.association, place, plan),
        density=_rounded(float(pooled.density[column])),
        controlled_auroc=None
        if confirm is None or not confirm.adjusted.separable
        else _rounded(float(confirm.adjusted.auroc[place])),
        specificity=_specificity(findings.contrasts, place),
        specificity_margin=None if findings.margin is None else _rounded(float(findings.margin[place])),
        contexts=contexts,
        causal=causal,
        association_grade=alone.grade if causal else None,
    )


def _rank(findings: Findings, place: int) -> int:
    """The strongest stand in their order; one that is described because it was edited has its place among all."""
    return max(place + 1, findings.explore.rank(findings.columns[place]))


def _evidence(plan: Design, findings: Findings, place: int) -> AssociationEvidence:
    flagged = [score.name for score in plan.audit.flagged]
    confirm, adjusted = None, None
    if findings.confirm is not None:
        confirm = _reading(findings.confirm.association, place, plan, "confirm")
        left = findings.confirm.adjusted
        adjusted = AdjustedReading(
            float(left.auroc[place]), float(left.low[place]), float(left.high[place]), left.separable
        )
    return AssociationEvidence(
        explore=_reading(findings.explore, findings.columns[place], plan, "explore"),
        confirm=confirm,
        adjusted=adjusted,
        solved_by=tuple(name for name in flagged if name != BAG_OF_WORDS),
        words_solve=BAG_OF_WORDS in flagged,
    )


def _reading(found: Association, i: int, plan: Design, part: Part) -> Reading:
    return Reading(
        auroc=float(found.auroc[i]),
        low=float(found.low[i]),
        high=float(found.high[i]),
        q=float(found.q[i]),
        n_positive_groups=found.n_positive_groups,
        n_negative_groups=found.n_negative_groups,
        rows=plan.split.keys(part),
    )


def _statistics(part: Part, found: Association, i: int, plan: Design) -> SplitStatistics:
    assert part != "train"
    d = float(found.d[i])
    n_groups = len(plan.split.keys(part))
    return SplitStatistics(
        split=part,
        auroc=Measured(
            value=_rounded(float(found.auroc[i])),
            unit="AUROC",
            n_prompts=found.n_rows,
            n_groups=n_groups,
            interval=Interval(
                low=_rounded(float(found.low[i])),
                high=_rounded(float(found.high[i])),
                level=found.level,
                method=INTERVAL_METHOD,
            ),
        ),
        cohens_d=_rounded(d) if np.isfinite(d) else None,
        point_biserial_r=_rounded(float(found.r[i])),
        firing_rate_positive=_rounded(float(found.rate_positive[i])),
        firing_rate_negative=_rounded(float(found.rate_negative[i])),
        p_value=float(found.p[i]),
        q_value=float(found.q[i]),
    )


def _specificity(contrasts: Sequence[Contrast], place: int) -> tuple[Specificity, ...]:
    rows = [
        Specificity(
            label=contrast.name,
            auroc=_rounded(float(contrast.auroc[place])),
            n_prompts=contrast.n_positive + contrast.n_negative,
        )
        for contrast in contrasts
    ]
    return tuple(sorted(rows, key=lambda row: -abs(row.auroc - 0.5))[:CONTRASTS_SHOWN])


def _rounded(value: float) -> float:
    return round(value, DIGITS)
