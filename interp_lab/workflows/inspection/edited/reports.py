"""Reports of `intervene` as evidence of an inspection: measured, with every number the grade needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from interp_lab.contracts.inspect_causal import CausalEdit, CausalFigures
from interp_lab.contracts.intervene_report import EditCard, EffectFigures, InterveneReport, UnitCard
from interp_lab.evidence.facts import Effect, InterventionEvidence
from interp_lab.evidence.looks import corrected_q
from interp_lab.evidence.reasons import Reason
from interp_lab.evidence.split import Part
from interp_lab.workflows.inspection.edited.tested import Tested, judged
from interp_lab.workflows.memory.history import PastRun
from interp_lab.workflows.memory.units import edited_ids

_NONE: frozenset[str] = frozenset()


class Question(NamedTuple):
    """What an inspection splits, so that another run can be told to have split the same."""

    dataset_sha256: str
    n_positive: int
    seed: int
    keys: Mapping[Part, frozenset[str]]
    """Content keys of the groups of each part."""

    def same_split(self, report: InterveneReport) -> bool:
        """Return whether a report chose and graded on the same halves."""
        there = (report.dataset.sha256, report.dataset.n_positive, report.run.seed)
        return there == (self.dataset_sha256, self.n_positive, self.seed)


def edits_of_report(
    run: PastRun, question: Question, inspected: Callable[[str], PastRun | None]
) -> Iterator[tuple[str, Tested]]:
    """Yield the id of every single unit of a report with each of its edits; units edited together are no coordinate."""
    report = run.report
    assert isinstance(report, InterveneReport)
    ids = edited_ids(run, inspected)
    for card in report.units:
        if card.members:
            continue
        looks = report.earlier_looks.get(card.unit, 0)
        for edit in card.edits:
            yield ids.get(card.unit, card.unit), _tested(run.id, report, card, edit, question=question, looks=looks)


def _tested(
    source: str, report: InterveneReport, card: UnitCard, edit: EditCard, *, question: Question, looks: int
) -> Tested:
    known = question.same_split(report)
    explore_keys, confirm_keys = (question.keys["explore"], question.keys["confirm"]) if known else (_NONE, _NONE)
    evidence = InterventionEvidence(
        edit=edit.edit,
        explore=_effect(edit.explore, explore_keys, looks=0),
        confirm=None if edit.confirm is None else _effect(edit.confirm, confirm_keys, looks=looks),
        side_effect=edit.side_effects.shift_upper,
        side_effect_bound=edit.side_effects.bound,
        metric_can_move=not report.behaviour.flags,
        provenance=card.provenance,
        flaws=() if known else (Reason.OTHER_PROMPTS,),
    )
    figures = (edit.explore,) if edit.confirm is None else (edit.explore, edit.confirm)
    shown = CausalEdit(
        edit=f"{edit.edit} ({edit.where})",
        strength=edit.strength,
        metric=f"{report.behaviour.metric}, {report.behaviour.unit}",
        source=source,
        provenance=card.provenance,
        figures=tuple(_figures(one, known=known, looks=looks) for one in figures),
        side_effect=edit.side_effects.shift_upper,
        side_effect_bound=edit.side_effects.bound,
        counts=False,
        reasons=(),
        doses=edit.doses if len(edit.doses) > 1 else (),
    )
    return judged(evidence, shown)


def _effect(found: EffectFigures, rows: frozenset[str], *, looks: int) -> Effect:
    low, high = found.difference_interval.low, found.difference_interval.high
    return Effect(
        found.difference,
        min(low, found.difference),
        max(high, found.difference),
        corrected_q(found.q_value, looks),
        found.n_groups,
        rows,
    )


def _figures(found: EffectFigures, *, known: bool, looks: int) -> CausalFigures:
    return CausalFigures(
        part=found.part if known else "unknown",
        n_prompts=found.n_prompts,
        n_groups=found.n_groups,
        effect=found.effect,
        controls=found.controls,
        difference=found.difference,
        interval=found.difference_interval,
        q_value=corrected_q(found.q_value, looks) if found.part == "confirm" else found.q_value,
    )
