"""One edit of one coordinate as evidence, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from interp_lab.contracts.inspect_causal import CausalEdit
from interp_lab.evidence.facts import InterventionEvidence
from interp_lab.evidence.grade import effect_problems
from interp_lab.evidence.reasons import Reason

SIDE_EFFECT_SHARE = 0.5
"""Largest accepted shift on negatives, as a share of the effect on explore positives, as `intervene` has it."""


@dataclass(frozen=True, eq=False)
class Tested:
    """An edit with the evidence that it is."""

    evidence: InterventionEvidence
    shown: CausalEdit


@dataclass(frozen=True, eq=False)
class Merged:
    """Every edit by the column of the table that it edited, and what a careful reader must know."""

    by_column: Mapping[int, tuple[Tested, ...]]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns that were edited, in the order of the sources."""
        return tuple(self.by_column)

    def evidence(self, column: int) -> tuple[InterventionEvidence, ...]:
        """Return the interventions on a column."""
        return tuple(each.evidence for each in self.by_column.get(column, ()))

    def shown(self, column: int) -> tuple[CausalEdit, ...]:
        """Return them as the report shows them."""
        return tuple(each.shown for each in self.by_column.get(column, ()))


NOTHING = Merged({})


def judged(evidence: InterventionEvidence, shown: CausalEdit) -> Tested:
    """Return an edit with the reasons why it counts or does not."""
    problems: Sequence[Reason] = tuple(dict.fromkeys(effect_problems(evidence)))
    codes = tuple(reason.value for reason in problems or (Reason.EFFECT_CONFIRMED,))
    return Tested(evidence, shown.model_copy(update={"counts": not problems, "reasons": codes}))
