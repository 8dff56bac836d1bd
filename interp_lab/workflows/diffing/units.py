# pyright: standard
"""What became of units: their association in the base and in the changed model, on prompts that did not choose them."""

from __future__ import annotations

from collections.abc import Collection

from interp_lab.contracts.diff_models import DiffModelsRequest, UnitChange, Verdict
from interp_lab.methods.association import Association, associate
from interp_lab.statistics.auroc_difference import AurocDifference, auroc_difference
from interp_lab.workflows.comparing.sides import ReadSide

_LEVEL = 0.95


def unit_changes(
    base: ReadSide, changed: ReadSide, validated: Collection[tuple[str, int]], request: DiffModelsRequest
) -> tuple[UnitChange, ...]:
    """Return the units that either model or the report chose, the most changed first; none without confirm prompts."""
    rows = base.plan.rows("confirm")
    if not rows.size:
        return ()
    known = [base.column(address, index) for address, index in validated]
    chosen = [*known, *base.chosen(request.n_units), *changed.chosen(request.n_units)]
    columns = tuple(dict.fromkeys(column for column in chosen if column is not None))
    sample = base.plan.sample.take(rows)
    level = 1 - (1 - _LEVEL) / len(columns)
    seen = [associate(side.values[rows][:, list(columns)], sample, level=level) for side in (base, changed)]
    found: list[UnitChange] = []
    for place, column in enumerate(columns):
        # the model in which a unit went with the criterion more clearly says which way it points
        leading = max((base.explore, changed.explore), key=lambda each: abs(float(each.auroc[column]) - 0.5))
        sign = 1 if float(leading.auroc[column]) >= 0.5 else -1
        moved = auroc_difference(
            sign * changed.values[rows, column], sign * base.values[rows, column], sample, level=level
        )
        site, index = base.locate(column)
        found.append(
            UnitChange(
                address=str(site),
                index=index,
                validated=(str(site), index) in validated,
                base_auroc=_rounded(float(seen[0].auroc[place])),
                changed_auroc=_rounded(float(seen[1].auroc[place])),
                difference=_rounded(moved.estimate),
                interval=(_rounded(moved.low), _rounded(moved.high)),
                verdict=_verdict(moved, [_certain(each, place, sign) for each in seen], request.least_change),
            )
        )
    return tuple(sorted(found, key=lambda unit: -abs(unit.difference)))


def _certain(seen: Association, place: int, sign: int) -> bool:
    return bool(seen.low[place] > 0.5) if sign > 0 else bool(seen.high[place] < 0.5)


def _verdict(moved: AurocDifference, certain: list[bool], least: float) -> Verdict:
    changes = abs(moved.estimate) >= least and not moved.low <= 0 <= moved.high
    if not changes:
        return "kept" if any(certain) else "unclear"
    if moved.estimate < 0:
        return ("weakened" if certain[1] else "lost") if certain[0] else "unclear"
    return ("strengthened" if certain[0] else "new") if certain[1] else "unclear"


def _rounded(value: float) -> float:
    return round(value, 4)
