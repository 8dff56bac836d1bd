# pyright: standard
"""From measured effects to the cards of the report: one per unit, its edits in the order of what explore showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect_report import ReasonCode
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.intervene_report import DosePoint, EditCard, EffectFigures, SideEffects, UnitCard
from interp_lab.evidence.grade import Grading
from interp_lab.methods.causal_effect import METHOD
from interp_lab.workflows.intervening.grading import Associations, bound_of
from interp_lab.workflows.intervening.measure import Key, Measured, Part
from interp_lab.workflows.intervening.trials import TOGETHER
from interp_lab.workflows.intervening.units import Subject
from interp_lab.workflows.intervening.values import Reading


def unit_cards(
    request: InterveneRequest,
    subjects: Sequence[Subject],
    measured: Measured,
    *,
    graded: dict[tuple[int, ...], Grading],
    found: Associations,
    reading: Reading,
) -> tuple[UnitCard, ...]:
    """Return one card per unit, and one for all together."""
    cards: list[UnitCard] = []
    for places, grading in graded.items():
        own = [subjects[place] for place in places]
        edits = [_edit(request, measured, key) for key in measured.best if key[0] == places]
        single = own[0] if len(own) == 1 else None
        cards.append(
            UnitCard(
                unit=single.key if single else TOGETHER,
                address=", ".join(dict.fromkeys(str(subject.target.writes) for subject in own)),
                ref=single.found.ref if single else None,
                members=() if single else tuple(subject.key for subject in own),
                typical=_rounded(reading.scales[single.target].typical) if single else None,
                grade=grading.grade,
                reasons=tuple(ReasonCode(code=reason.value, text=reason.meaning) for reason in grading.reasons),
                association=found.figures[places[0]] if single else None,
                edits=tuple(sorted(edits, key=lambda card: -abs(card.explore.difference))),
            )
        )
    return tuple(cards)


def _edit(request: InterveneRequest, measured: Measured, key: Key) -> EditCard:
    best, confirm = measured.best[key], measured.confirm.get(key)
    graded = confirm or best
    return EditCard(
        edit=key[1],
        where=best.trial.variant.edits[0].where,
        strength=best.trial.strength,
        relative_size=_rounded(graded.relative_size),
        explore=_figures("explore", best),
        confirm=None if confirm is None else _figures("confirm", confirm),
        side_effects=SideEffects(
            n_prompts=graded.shift.n_rows,
            shift=_rounded(graded.shift.mean),
            shift_upper=_rounded(graded.shift.high),
            bound=_rounded(bound_of(measured, key, request.side_effect_share)),
            kl=_rounded(graded.shift_kl),
            cross_entropy=_rounded(graded.shift_cross_entropy),
        ),
        doses=tuple(_dose(part) for part in measured.doses[key]),
    )


def _figures(part: Literal["explore", "confirm"], found: Part) -> EffectFigures:
    one = found.contrast
    return EffectFigures(
        part=part,
        n_prompts=one.effect.n_rows,
        n_groups=one.effect.n_groups,
        effect=_rounded(one.effect.mean),
        effect_interval=_interval(one.effect.low, one.effect.high, one.effect.method),
        control=_rounded(one.control),
        controls={name: _rounded(value) for name, value in found.controls.items()},
        controls_as_large=_rounded(found.as_large),
        difference=_rounded(one.difference),
        difference_interval=_interval(one.low, one.high, METHOD),
        p_value=one.p,
        q_value=found.q,
        sign_consistency=_rounded(one.consistency),
        wrong_sign=_rounded(found.wrong_sign),
        placebo=found.placebo,
        detectable=_rounded(one.detectable),
        kl=_rounded(found.kl),
    )


def _dose(part: Part) -> DosePoint:
    effect = part.contrast.effect
    return DosePoint(
        strength=part.trial.strength,
        effect=_rounded(effect.mean),
        low=_rounded(effect.low),
        high=_rounded(effect.high),
        control=_rounded(part.contrast.control),
        side_effect=_rounded(part.shift.mean),
    )


def _interval(low: float, high: float, method: str) -> Interval:
    return Interval(low=_rounded(low), high=_rounded(high), method=method)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
