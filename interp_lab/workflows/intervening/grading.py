# pyright: standard
"""From associations and effects to a grade for each unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interp_lab.contracts.base import Grade
from interp_lab.contracts.intervene_report import AssociationFigures
from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.evidence.facts import AdjustedReading, AssociationEvidence, Effect, InterventionEvidence, Reading
from interp_lab.evidence.grade import Grading, grade
from interp_lab.evidence.looks import corrected_q
from interp_lab.methods.association import Association, associate
from interp_lab.methods.confounds import control_confounds
from interp_lab.statistics.adjusted import Adjusted
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import LEVEL, Design
from interp_lab.workflows.intervening.measure import Key, Measured, Part
from interp_lab.workflows.intervening.units import Subject
from interp_lab.workflows.intervening.values import Reading as Values

_WORST_FIRST: tuple[Grade, ...] = ("contradicted", "weak", "plausible", "needs_causal_evidence", "validated")


@dataclass(frozen=True, eq=False)
class Associations:
    """How every unit goes with the criterion, on the same prompts as the effects."""

    evidence: tuple[AssociationEvidence, ...]
    figures: tuple[AssociationFigures, ...]


def associations(inputs: Inputs, design: Design, values: Values, subjects: Sequence[Subject]) -> Associations:
    """Return the association of every unit; q of a report's coordinate is over everything that the report tested."""
    spans = [[(span.start, span.end) for span in prompt.spans] for prompt in inputs.prompts.prompts]
    targets = [subject.target for subject in subjects]
    pooled = values.pooled(targets, inputs.tokens, inputs.request.pooling, spans)
    explore = associate(pooled[design.rows("explore")], design.sample.take(design.rows("explore")), level=LEVEL)
    rows = design.rows("confirm")
    confirm, adjusted = None, None
    if rows.size:
        sample = design.sample.take(rows)
        surface = {name: feature[rows] for name, feature in design.surface.items()}
        confirm = associate(pooled[rows], sample, level=LEVEL)
        adjusted = control_confounds(pooled[rows], sample, numeric=surface, level=LEVEL)
    evidence = tuple(
        _evidence(design, s, i, explore, confirm=confirm, adjusted=adjusted) for i, s in enumerate(subjects)
    )
    figures = tuple(_figures(found, subjects, place) for place, found in enumerate(evidence))
    return Associations(evidence, figures)


def grade_units(
    measured: Measured, found: Associations, design: Design, *, can_move: bool, share: float, looks: Sequence[int]
) -> dict[tuple[int, ...], Grading]:
    """Return the grade of every unit, and of units together, which is that of the member with the least evidence.

    `looks` says of every unit how often these confirm prompts were asked about it before; see `evidence.looks`.
    """
    graded: dict[tuple[int, ...], Grading] = {}
    for subjects in dict.fromkeys(key[0] for key in measured.best):
        effects = [
            _intervention(
                measured, key, design, can_move=can_move, share=share, looks=max(looks[place] for place in subjects)
            )
            for key in measured.best
            if key[0] == subjects
        ]
        each = [grade(found.evidence[place], effects) for place in subjects]
        graded[subjects] = min(each, key=lambda one: _WORST_FIRST.index(one.grade))
    return graded


def bound_of(measured: Measured, key: Key, share: float) -> float:
    """Return the largest accepted shift on negatives, from the effect on explore positives."""
    return share * abs(measured.best[key].contrast.effect.mean)


def _intervention(
    measured: Measured, key: Key, design: Design, *, can_move: bool, share: float, looks: int
) -> InterventionEvidence:
    best, confirm = measured.best[key], measured.confirm.get(key)
    return InterventionEvidence(
        edit=key[1],
        explore=_effect(best, design.split.keys("explore"), looks=0),
        confirm=None if confirm is None else _effect(confirm, design.split.keys("confirm"), looks=looks),
        side_effect=(confirm or best).shift.high,
        side_effect_bound=bound_of(measured, key, share),
        metric_can_move=can_move,
        provenance="measured",
    )


def _effect(part: Part, rows: frozenset[str], *, looks: int) -> Effect:
    one = part.contrast
    low, high = min(one.low, one.difference), max(one.high, one.difference)
    return Effect(one.difference, low, high, corrected_q(part.q, looks), one.effect.n_groups, rows)


def _evidence(
    design: Design,
    subject: Subject,
    place: int,
    explore: Association,
    *,
    confirm: Association | None,
    adjusted: Adjusted | None,
) -> AssociationEvidence:
    flagged = [score.name for score in design.audit.flagged]
    q = subject.found.explore_q
    if q is None and subject.found.n_tested is not None:
        q = min(1.0, float(explore.p[place]) * subject.found.n_tested)  # chosen among as many, by what goes with it
    first = _reading(explore, place, design.split.keys("explore"), q)
    if subject.found.explore_auroc is not None:
        first = replace(first, **dict(zip(("auroc", "low", "high"), subject.found.explore_auroc, strict=True)))
    second = None if confirm is None else _reading(confirm, place, design.split.keys("confirm"), None)
    left = None
    if adjusted is not None:
        numbers = (float(adjusted.auroc[place]), float(adjusted.low[place]), float(adjusted.high[place]))
        left = AdjustedReading(*numbers, adjusted.separable)
    return AssociationEvidence(
        explore=first,
        confirm=second,
        adjusted=left,
        solved_by=tuple(name for name in flagged if name != BAG_OF_WORDS),
        words_solve=BAG_OF_WORDS in flagged,
    )


def _reading(found: Association, i: int, rows: frozenset[str], q: float | None) -> Reading:
    numbers = (float(found.auroc[i]), float(found.low[i]), float(found.high[i]))
    own = float(found.q[i]) if q is None else q
    return Reading(*numbers, own, found.n_positive_groups, found.n_negative_groups, rows)


def _figures(found: AssociationEvidence, subjects: Sequence[Subject], place: int) -> AssociationFigures:
    return AssociationFigures(
        explore_auroc=float(np.round(found.explore.auroc, 4)),
        confirm_auroc=None if found.confirm is None else float(np.round(found.confirm.auroc, 4)),
        explore_q=found.explore.q,
        n_tested=subjects[place].found.n_tested or len(subjects),
    )
