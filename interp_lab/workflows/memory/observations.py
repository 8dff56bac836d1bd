"""From reports to observations: what each run found of each unit, in one form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from interp_lab.contracts.dossier import AssociationSeen, EffectSeen, NegativeResult, Observation
from interp_lab.contracts.inspect_report import CoordinateCard, InspectReport
from interp_lab.contracts.intervene_report import EditCard, InterveneReport, UnitCard
from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.evidence.reasons import Reason
from interp_lab.workflows.memory.history import PastRun
from interp_lab.workflows.memory.units import coordinate_ids, edited_ids, name_of


class Seen:
    """Observations by unit, oldest first, and what each unit is called."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[Observation]] = defaultdict(list)
        """One observation per run."""
        self.edits: defaultdict[str, list[Observation]] = defaultdict(list)
        """One per kind of edit."""
        self.names: dict[str, str] = {}

    def add(self, unit: str, name: str, observation: Observation) -> None:
        """Take one observation; the last name counts."""
        self.of[unit].append(observation)
        self.names[unit] = name


def observe(runs: Sequence[PastRun], everything: Sequence[PastRun]) -> Seen:
    """Return what the runs found; `everything` is where inspect reports that they name are looked up."""
    by_id = {run.id: run for run in everything}
    seen = Seen()
    for run in runs:
        report = run.report
        if isinstance(report, InspectReport):
            ids = coordinate_ids(run)
            for place, card in enumerate(report.coordinates):
                name = name_of(card.address, card.index)
                seen.add(ids[name], name, _of_card(run, report, card, f"/coordinates/{place}"))
        else:
            ids = edited_ids(run, by_id.get)
            for place, card in enumerate(report.units):
                unit, pointer = _id_of(card, ids), f"/units/{place}"
                seen.add(unit, card.unit, _of_edit(run, report, card, clearest(card), pointer=pointer))
                seen.edits[unit] += [_of_edit(run, report, card, edit, pointer=pointer) for edit in card.edits]
    return seen


def _id_of(card: UnitCard, ids: dict[str, str]) -> str:
    if card.members:
        return " + ".join(sorted(ids.get(member, member) for member in card.members))
    return ids.get(card.unit, f"{card.address} {card.unit}")


def _of_card(run: PastRun, report: InspectReport, card: CoordinateCard, pointer: str) -> Observation:
    graded = card.confirm or card.explore
    interval = graded.auroc.interval
    q = card.explore.q_value
    return Observation(
        run=run.id,
        at=run.at,
        by="association",
        investigator=run.investigator,
        grade=card.association_grade or card.grade,  # interventions are observed in their own runs, not twice
        reasons=tuple(reason.code for reason in card.reasons),
        sign=card.sign,
        dataset_sha256=report.dataset.sha256,
        seed=report.run.seed,
        n_groups=graded.auroc.n_groups,
        association=AssociationSeen(
            auroc=graded.auroc.value,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            on_confirm_prompts=card.confirm is not None,
            explore_q=q,
        ),
        pointer=pointer,
        provenance=card.provenance,
    )


def _of_edit(run: PastRun, report: InterveneReport, card: UnitCard, edit: EditCard, *, pointer: str) -> Observation:
    found = edit.confirm or edit.explore
    called = edit.confirm is not None and found.q_value <= Q_LEVEL and not report.behaviour.flags
    low, high = found.difference_interval.low, found.difference_interval.high
    to_exceed = max(report.behaviour.least_effect, found.control if found.effect >= 0 else -found.control)
    return Observation(
        run=run.id,
        at=run.at,
        by="intervention",
        investigator=run.investigator,
        grade=card.grade,
        reasons=tuple(reason.code for reason in card.reasons),
        sign=(1 if low > 0 else -1 if high < 0 else 0) if called else 0,
        dataset_sha256=report.dataset.sha256,
        seed=report.run.seed,
        n_groups=found.n_groups,
        effect=EffectSeen(
            metric=report.behaviour.metric + (f" of {report.behaviour.of}" if report.behaviour.of else ""),
            edit=edit.edit,
            effect=found.effect,
            effect_low=found.effect_interval.low,
            effect_high=found.effect_interval.high,
            to_exceed=to_exceed,
            beyond_low=low,
            beyond_high=high,
            q=found.q_value,
            on_confirm_prompts=edit.confirm is not None,
            detectable=to_exceed + found.detectable,
            targets=report.behaviour.targets,
            alternatives=report.behaviour.alternatives,
        ),
        pointer=pointer,
        provenance=card.provenance,
    )


def clearest(card: UnitCard) -> EditCard:
    """Return the edit that speaks for a unit: the first that exceeds its control on confirm prompts, else the first."""
    return next((edit for edit in card.edits if _exceeds(edit)), card.edits[0])


def _exceeds(edit: EditCard) -> bool:
    found = edit.confirm
    if found is None or found.q_value > Q_LEVEL:
        return False
    return found.difference_interval.low > 0 or found.difference_interval.high < 0


def negatives(run: PastRun, seen: Seen) -> Iterator[NegativeResult]:
    """Yield what a run looked for and did not find, with what it could have seen."""
    report = run.report
    if isinstance(report, InspectReport):
        yield from _nothing_at_all(run, report)
    for unit, observations in seen.of.items():
        for one in observations:
            if one.run == run.id and (text := _not_found(one)):
                yield NegativeResult(run=run.id, unit=unit, code=text[0], text=text[1])


def _nothing_at_all(run: PastRun, report: InspectReport) -> Iterator[NegativeResult]:
    if report.audit.flagged:
        names = ", ".join(c.name for c in report.audit.confounds if c.flagged and c.name != BAG_OF_WORDS)
        text = f"The prompts are solved by {names} alone, so no association on them means anything."
        yield NegativeResult(run=run.id, unit=None, code=Reason.CONFOUND_SOLVES.value, text=text)
    if report.n_significant == 0:
        n, level = report.dataset.n_explore, report.q_level
        text = f"None of {report.n_tested} coordinates passes q ≤ {level:g} on {n} prompts."
        yield NegativeResult(run=run.id, unit=None, code=Reason.NOT_FOUND.value, text=text)


def _not_found(one: Observation) -> tuple[str, str] | None:
    if one.effect is not None:
        if Reason.EFFECT_LIKE_CONTROL.value not in one.reasons:
            return None
        found = one.effect
        return Reason.EFFECT_LIKE_CONTROL.value, (
            f"No {found.metric} effect beyond {found.to_exceed:.3g}, its control or the least that matters, over "
            f"{one.n_groups} groups: {found.effect:.3g} [{found.effect_low:.3g}, {found.effect_high:.3g}]; "
            f"{found.detectable:.3g} would have been found with 80 % power."
        )
    code = next((reason for reason in one.reasons if reason in _GONE), None)
    if code is None or one.association is None:
        return None
    return code, f"{Reason(code).meaning} AUROC {one.association.auroc:.2f} over {one.n_groups} groups."


_GONE = (Reason.SIGN_REVERSED.value, Reason.EFFECT_VANISHED.value, Reason.NOT_FOUND.value)
