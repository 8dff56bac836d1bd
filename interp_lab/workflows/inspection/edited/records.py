# pyright: standard
"""Intervention records of any tool as evidence: effects beside controls on the halves that this inspection split.

A record gives one run of one prompt. Explore prompts choose the strength of an edit, confirm prompts grade it; runs of
prompts that are not this inspection's, of strengths that somebody chose on all rows, or without controls prove nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.doses import DosePoint
from interp_lab.contracts.inspect_causal import CausalEdit, CausalFigures
from interp_lab.errors import TooFewGroups
from interp_lab.evidence.facts import Effect, InterventionEvidence
from interp_lab.evidence.looks import corrected_q
from interp_lab.evidence.reasons import Reason
from interp_lab.methods.causal_effect import METHOD, Contrast, contrast
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.store.interchange.interventions import InterventionRecord
from interp_lab.workflows.inspection.edited.tested import SIDE_EFFECT_SHARE, Tested, judged

COMPARED = ("control", "matched_frequency", "random", "random_feature")
"""Kinds of control that show what any edit of the size does; a placebo or the opposite edit does not."""
LEAST_EFFECT = 0.1
"""Smallest effect that matters, as a share of the standard deviation of the unedited score over explore prompts."""
SATURATED, NEAR_ZERO, NEAR_ZERO_MAX = 0.85, 0.02, 0.05
"""Mean probability that has hardly room to rise, or none to fall; the largest that is still near zero."""
STILL = 1e-9
MAX_LOOKS = 10**150
"""A file may name more earlier looks, of which the square is too large for a number; no q survives these either."""
STRANGER = "unknown"
"""Part of prompts that are not those of the inspection."""

Values = dict[int, list[float]]
"""By prompt."""


class Rows(NamedTuple):
    """What prompts this inspection has: places by id, the group, label and part of each."""

    places: Mapping[str, int]
    groups: np.ndarray
    labels: np.ndarray
    parts: Sequence[str]
    keys: Mapping[str, frozenset[str]]


@dataclass
class _Dose:
    """All runs of one edit of one feature at one strength."""

    effects: Values = field(default_factory=lambda: defaultdict(list))
    baselines: Values = field(default_factory=lambda: defaultdict(list))
    shifts: Values = field(default_factory=lambda: defaultdict(list))
    """Size of the change on negatives."""
    controls: dict[str, Values] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    upper: dict[str, float] = field(default_factory=dict[str, float])
    """Upper bound of the shift on negatives by part, where the writer says it."""


@dataclass
class _Edit:
    """All runs of one edit of one feature."""

    feature: str
    first: InterventionRecord
    doses: dict[float | None, _Dose] = field(default_factory=lambda: defaultdict(_Dose))
    named: bool = True
    swept: bool = False
    foreign: bool = False
    """Some of its prompts are not those of the inspection, or served its writer for the other part."""
    looks: int = 0
    """Earlier looks at its confirm prompts, as the writer says."""
    stuck: bool = False
    """The writer says that the metric could not move."""
    largest: float = 0.0


class _Seen(NamedTuple):
    """One strength on one part."""

    strength: float | None
    found: Contrast
    controls: dict[str, float]
    n_groups: int


def edits_of_records(
    records: Sequence[InterventionRecord], source: str, rows: Rows
) -> Iterator[tuple[InterventionRecord, Tested]]:
    """Yield a record of every edit of every feature, with what all records of that edit together are as evidence."""
    rows = _with_strangers(records, rows)
    edits = _gathered(records, rows)
    explored = [_on_part(edit, rows, "explore") for edit in edits]
    _q = _corrected([seen.found.p for found in explored for seen in found])
    explore_q = [[next(_q) for _ in found] for found in explored]
    chosen = [max(range(len(found)), key=lambda i, f=found: _order(f[i])) if found else None for found in explored]
    confirmed = [
        None if pick is None else next(iter(_on_part(edit, rows, "confirm", explored[n][pick].strength)), None)
        for n, (edit, pick) in enumerate(zip(edits, chosen, strict=True))
    ]
    confirm_q = _corrected([seen.found.p for seen in confirmed if seen is not None])
    for n, edit in enumerate(edits):
        pick, again = chosen[n], confirmed[n]
        first = None if pick is None else (explored[n][pick], explore_q[n][pick])
        second = None if again is None else (again, corrected_q(next(confirm_q), edit.looks))
        yield edit.first, _tested(edit, source, rows, first=first, second=second, doses=explored[n])


def _with_strangers(records: Sequence[InterventionRecord], rows: Rows) -> Rows:
    """Return the rows with prompts that only the records know, each a group of its own."""
    known = len(rows.parts)
    strange = dict.fromkeys(name for r in records if (name := r.prompt_id or "") not in rows.places)
    n = len(strange)
    return Rows(
        {**rows.places, **{name: known + i for i, name in enumerate(strange)}},
        np.concatenate([rows.groups, rows.groups.max(initial=-1) + 1 + np.arange(n)]),
        np.concatenate([rows.labels, np.ones(n, dtype=np.bool_)]),
        (*rows.parts, *[STRANGER] * n),
        rows.keys,
    )


def _gathered(records: Sequence[InterventionRecord], rows: Rows) -> list[_Edit]:
    found: dict[tuple[str, str], _Edit] = {}
    effects = [record for record in records if record.control_type is None]
    for record in effects:
        edit = found.setdefault((record.feature_id, _word(record)), _Edit(record.feature_id, record))
        edit.named &= record.criterion is not None
        sweep = record.metadata.get("strength_sweep")
        edit.swept |= isinstance(sweep, list) and len(sweep) > 1
        edit.largest = max(edit.largest, abs(record.change))
        place = rows.places[record.prompt_id or ""]
        edit.foreign |= rows.parts[place] == STRANGER or _other_part(record, rows.parts[place])
        edit.looks = max(edit.looks, _looks(record))
        edit.stuck |= record.metadata.get("metric_can_move") is False
        _take(edit.doses[record.strength], record, place, rows)
    for record in records:
        edit = found.get((record.feature_id, _word(record)))
        if edit is None or record.control_type is None:
            continue
        place = rows.places[record.prompt_id or ""]
        edit.largest = max(edit.largest, abs(record.change))
        for strength, dose in edit.doses.items():
            if record.strength in (None, strength):
                dose.controls[record.control_type][place].append(record.oriented)
    return list(found.values())


def _word(record: InterventionRecord) -> str:
    edit = record.metadata.get("edit")
    return edit if isinstance(edit, str) else record.intervention


def _other_part(record: InterventionRecord, part: str) -> bool:
    """Whether the writer split the prompts otherwise, so that what chose there would grade here."""
    told = record.metadata.get("part")
    return told in ("explore", "confirm") and told != part


def _looks(record: InterventionRecord) -> int:
    told = record.metadata.get("earlier_looks")
    return min(told, MAX_LOOKS) if isinstance(told, int) else 0


def _take(dose: _Dose, record: InterventionRecord, place: int, rows: Rows) -> None:
    if not rows.labels[place]:
        dose.shifts[place].append(abs(record.change))
        return
    dose.effects[place].append(record.oriented)
    dose.baselines[place].append(record.baseline_score)
    upper = record.metadata.get("side_effect_upper")
    if isinstance(upper, int | float) and np.isfinite(upper):
        part = rows.parts[place]
        dose.upper[part] = max(dose.upper.get(part, 0.0), float(upper))


def _on_part(edit: _Edit, rows: Rows, part: str, *strengths: float | None) -> list[_Seen]:
    """Return every strength, or those named, that was run on enough prompts of a part."""
    found: list[_Seen] = []
    floor = LEAST_EFFECT * _spread(edit, rows)
    for strength, dose in edit.doses.items():
        if strengths and strength not in strengths:
            continue
        kinds = {kind: values for kind in COMPARED if (values := dose.controls.get(kind))}
        places = [p for p in dose.effects if rows.parts[p] == part and all(p in values for values in kinds.values())]
        if not places:
            continue
        controls = np.array([_means(values, places) for values in kinds.values()]).reshape(len(kinds), len(places))
        groups = rows.groups[places]
        try:
            one = contrast(_means(dose.effects, places), controls, groups, floor=floor)
        except TooFewGroups:
            continue
        means = {kind: float(row.mean()) for kind, row in zip(kinds, controls, strict=True)}
        found.append(_Seen(strength, one, means, len(set(groups.tolist()))))
    return found


def _means(values: Values, places: Sequence[int]) -> np.ndarray:
    return np.array([np.mean(values[place]) for place in places])


def _spread(edit: _Edit, rows: Rows) -> float:
    """Standard deviation of the unedited score over explore prompts, which choose."""
    base = {p: np.mean(v) for dose in edit.doses.values() for p, v in dose.baselines.items()}
    explore = [value for place, value in base.items() if rows.parts[place] == "explore"]
    return float(np.std(explore)) if explore else 0.0


def _order(seen: _Seen) -> tuple[float, float]:
    return abs(seen.found.difference), abs(seen.found.effect.mean)


def _corrected(p: Sequence[float]) -> Iterator[float]:
    return iter(benjamini_hochberg(p).tolist() if p else ())


def _tested(
    edit: _Edit,
    source: str,
    rows: Rows,
    *,
    first: tuple[_Seen, float] | None,
    second: tuple[_Seen, float] | None,
    doses: Sequence[_Seen],
) -> Tested:
    strength = None if first is None else first[0].strength
    explore = _effect(first, rows.keys["explore"]) or Effect(0.0, 0.0, 0.0, None, 0, frozenset())
    bound = SIDE_EFFECT_SHARE * (0.0 if first is None else abs(first[0].found.effect.mean))
    side = _side_effect(edit, strength, rows)
    evidence = InterventionEvidence(
        edit=_word(edit.first),
        explore=explore,
        confirm=_effect(second, rows.keys["confirm"]),
        side_effect=side,
        side_effect_bound=bound,
        metric_can_move=_can_move(edit),
        provenance="imported",
        flaws=tuple(_flaws(edit, first, second)),
    )
    name = edit.first.metadata.get("behavior_score")
    known = [(part, *seen) for part, seen in (("explore", first), ("confirm", second)) if seen is not None]
    strange = [(STRANGER, seen, None) for seen in _on_part(edit, rows, STRANGER)[:1]]
    shown = CausalEdit(
        edit=_word(edit.first)[:80],
        strength=strength,
        metric=name[:80] if isinstance(name, str) else "score",
        source=source,
        provenance="imported",
        figures=tuple(_figures(part, seen, q) for part, seen, q in (known or strange)),
        side_effect=None if side is None else _rounded(side),
        side_effect_bound=_rounded(bound),
        counts=False,
        reasons=(),
        doses=_doses(doses, edit),
    )
    return judged(evidence, shown)


def _flaws(edit: _Edit, first: tuple[_Seen, float] | None, second: tuple[_Seen, float] | None) -> Iterator[Reason]:
    if not edit.named:
        yield Reason.OTHER_CRITERION
    if edit.foreign:
        yield Reason.OTHER_PROMPTS
    seen = [each[0] for each in (first, second) if each is not None]
    if not all(each.controls for each in seen) or not any(dose.controls for dose in edit.doses.values()):
        yield Reason.UNCONTROLLED
    if edit.swept:
        yield Reason.STRENGTH_CHOSEN
    if first is None and not edit.foreign:
        yield Reason.FIELDS_MISSING  # nothing on explore prompts, so no sign was found before it was confirmed


def _side_effect(edit: _Edit, strength: float | None, rows: Rows) -> float | None:
    """Upper bound of the shift on negatives: from runs on them where there are any, else what the writer says."""
    dose = edit.doses.get(strength)
    if dose is None:
        return None
    for part in ("confirm", "explore"):
        places = [place for place in dose.shifts if rows.parts[place] == part]
        if len(set(rows.groups[places].tolist())) > 1:
            return float(clustered_mean(_means(dose.shifts, places), rows.groups[places]).high)
    return dose.upper.get("confirm", dose.upper.get("explore"))


def _can_move(edit: _Edit) -> bool:
    """Whether the score has room: a probability must not lie at either end, and something must have moved it."""
    if edit.stuck:
        return False
    name = str(edit.first.metadata.get("behavior_score", ""))
    base = [value for dose in edit.doses.values() for values in dose.baselines.values() for value in values]
    if "probability" in name and "log" not in name and base:
        near_zero = np.mean(base) <= NEAR_ZERO and max(base) <= NEAR_ZERO_MAX
        if np.mean(base) >= SATURATED or near_zero:
            return False
    return edit.largest > STILL


def _effect(seen: tuple[_Seen, float] | None, keys: frozenset[str]) -> Effect | None:
    if seen is None:
        return None
    (_, found, _, n_groups), q = seen
    low, high = min(found.low, found.difference), max(found.high, found.difference)
    return Effect(found.difference, low, high, q, n_groups, keys)


def _figures(part: str, seen: _Seen, q: float | None) -> CausalFigures:
    found = seen.found
    return CausalFigures(
        part=part,  # pyright: ignore[reportArgumentType]
        n_prompts=found.effect.n_rows,
        n_groups=seen.n_groups,
        effect=_rounded(found.effect.mean),
        controls={kind: _rounded(value) for kind, value in seen.controls.items()},
        difference=_rounded(found.difference),
        interval=Interval(low=_rounded(found.low), high=_rounded(found.high), method=METHOD),
        q_value=q,
    )


def _doses(doses: Sequence[_Seen], edit: _Edit) -> tuple[DosePoint, ...]:
    known = [seen for seen in doses if seen.strength is not None]
    if len(known) < 2:
        return ()
    shifts = {s: [v for values in dose.shifts.values() for v in values] for s, dose in edit.doses.items()}
    return tuple(
        DosePoint(
            strength=seen.strength or 0.0,
            effect=_rounded(seen.found.effect.mean),
            low=_rounded(seen.found.effect.low),
            high=_rounded(seen.found.effect.high),
            control=_rounded(seen.found.control),
            side_effect=_rounded(float(np.mean(shifts[seen.strength])) if shifts[seen.strength] else 0.0),
        )
        for seen in sorted(known, key=lambda seen: seen.strength or 0.0)
    )


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
