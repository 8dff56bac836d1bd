"""From reports to edges: what each report says of its units, every number with the kind of evidence that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from interp_lab.contracts.criterion_graph import (
    BEHAVIOUR_NODE,
    CRITERION_NODE,
    CandidatePath,
    EdgeValidation,
    EvidenceEdge,
    RedundancyGroup,
)
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene_report import EditCard, InterveneReport, UnitCard
from interp_lab.contracts.path_report import PathEnd, PathReport
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.evidence.looks import corrected_q
from interp_lab.workflows.memory.history import PastRun
from interp_lab.workflows.memory.units import coordinate_ids, edited_ids, name_of, unit_id

_HASH_CHARS = 12


@dataclass(frozen=True, slots=True)
class Fused:
    """Everything that reports say, edge by edge."""

    one_id: Callable[[str], str]
    """The id of a unit with the one name of its dictionary."""
    names: dict[str, str] = field(default_factory=dict[str, str])
    """Name of every unit by id; the last report counts."""
    places: dict[str, str] = field(default_factory=dict[str, str])
    """Address of every unit by id."""
    edges: list[EvidenceEdge] = field(default_factory=list[EvidenceEdge])
    groups: list[RedundancyGroup] = field(default_factory=list[RedundancyGroup])
    candidates: list[CandidatePath] = field(default_factory=list[CandidatePath])


def add_inspection(fused: Fused, run: PastRun, report: InspectReport) -> None:
    """Add the associations of an inspection, and which of its coordinates say the same."""
    ids = coordinate_ids(run)
    for card in report.coordinates:
        name = name_of(card.address, card.index)
        fused.names[ids[name]] = name
        fused.places[ids[name]] = card.address
        graded = card.confirm or card.explore
        interval = graded.auroc.interval
        fused.edges.append(
            EvidenceEdge(
                source=ids[name],
                target=CRITERION_NODE,
                kind="association",
                weight=graded.auroc.value,
                interval=None if interval is None else (interval.low, interval.high),
                part=graded.split,
                grade=card.association_grade or card.grade,
                reasons=tuple(reason.code for reason in card.reasons),
                validation=None,
                report=run.id,
                prompts=prompts_of(report),
            )
        )
    for group in () if report.handles is None else report.handles.alike:
        leader = _of(group.leader, ids, fused)
        members = [_of(member.name, ids, fused) for member in group.members]
        fused.groups.append(RedundancyGroup(id=leader, members=(leader, *members)))
        fused.edges.extend(
            EvidenceEdge(
                source=leader,
                target=member,
                kind="co_activation",
                weight=found.correlation,
                interval=None,
                part="explore",
                grade=None,
                reasons=(),
                validation=None,
                report=run.id,
                prompts=prompts_of(report),
            )
            for member, found in zip(members, group.members, strict=True)
        )


def add_intervention(
    fused: Fused, run: PastRun, report: InterveneReport, *, inspections: Mapping[str, PastRun]
) -> None:
    """Add the effect of every unit that an intervention edited, beside controls: of the edit that earned the grade."""
    ids = edited_ids(run, inspections.get)
    for card in report.units:
        if not card.edits:
            continue
        unit = (
            " + ".join(sorted(ids.get(member, member) for member in card.members))
            if card.members
            else ids.get(card.unit, f"{card.address} {card.unit}")
        )
        fused.names[unit] = card.unit
        fused.places.setdefault(unit, card.address)
        edit = _edit_that_earned(card, report)
        figures = edit.confirm or edit.explore
        fused.edges.append(
            EvidenceEdge(
                source=unit,
                target=BEHAVIOUR_NODE,
                kind="effect",
                weight=figures.effect,
                interval=(figures.effect_interval.low, figures.effect_interval.high),
                control=figures.control,
                part=figures.part,
                grade=card.grade,
                reasons=tuple(reason.code for reason in card.reasons),
                validation=None,
                report=run.id,
                prompts=prompts_of(report),
            )
        )


def _edit_that_earned(card: UnitCard, report: InterveneReport) -> EditCard:
    """The edit that validates a validated unit, so that number and grade are of one edit; else the clearest."""
    looks = max(report.earlier_looks.get(unit, 0) for unit in card.members or (card.unit,))
    earned = (edit for edit in card.edits if card.grade == "validated" and _validates(edit, looks))
    return next(earned, card.edits[0])


def _validates(edit: EditCard, looks: int) -> bool:
    """Whether an edit meets the rule of `evidence.grade` for effects."""
    confirm, side = edit.confirm, edit.side_effects
    if confirm is None or corrected_q(confirm.q_value, looks) > Q_LEVEL or side.shift_upper > side.bound:
        return False
    interval = confirm.difference_interval
    sign = (interval.low > 0) - (interval.high < 0)
    return sign * edit.explore.difference > 0


def add_paths(fused: Fused, artifact: str, report: PathReport) -> None:
    """Add the paths of a trace or a validation, with what a rerun found of each."""
    for rank, card in enumerate(report.paths, start=1):
        source, target = _end(card.source, fused), _end(card.target, fused)
        figures = card.confirm or card.explore
        if figures is None:
            continue
        fused.edges.append(
            EvidenceEdge(
                source=source,
                target=target,
                kind="path",
                weight=figures.mediated,
                interval=(figures.mediated_interval.low, figures.mediated_interval.high),
                part=figures.part,
                grade=card.grade,
                reasons=tuple(reason.code for reason in card.reasons),
                validation=EdgeValidation(
                    status=card.status, n_groups=0 if card.confirm is None else card.confirm.n_groups
                ),
                report=artifact,
                prompts=prompts_of(report),
            )
        )
        if card.status == "candidate":
            found = CandidatePath(nodes=(source, target), mediated=figures.mediated, report=artifact, rank=rank)
            fused.candidates.append(found)


def settled(edges: Sequence[EvidenceEdge]) -> Iterator[EvidenceEdge]:
    """Yield the edges without those found on explore prompts that a rerun on held-out ones of the same set replaced."""
    rerun = _rerun(edges)
    for edge in edges:
        found_only = edge.validation is not None and not edge.validation.n_groups
        if not (found_only and (edge.source, edge.target, edge.prompts) in rerun):
            yield edge


def open_candidates(fused: Fused) -> Iterator[CandidatePath]:
    """Yield the candidates that no report has rerun on the prompts that they were found on."""
    rerun, prompts = _rerun(fused.edges), {edge.report: edge.prompts for edge in fused.edges}
    for path in fused.candidates:
        if (path.nodes[0], path.nodes[1], prompts.get(path.report)) not in rerun:
            yield path


def _rerun(edges: Sequence[EvidenceEdge]) -> set[tuple[str, str, str | None]]:
    return {(e.source, e.target, e.prompts) for e in edges if e.validation is not None and e.validation.n_groups}


def prompts_of(report: InspectReport | InterveneReport | PathReport) -> str:
    """Return what tells the prompts of a report apart from others: the start of their hash."""
    return report.dataset.sha256[:_HASH_CHARS]


def _of(name: str, ids: Mapping[str, str], fused: Fused) -> str:
    """The id of a coordinate by its name in the report; those that are not described keep their address."""
    unit = ids.get(name, name.replace(" #", "#"))
    fused.names.setdefault(unit, name)
    fused.places.setdefault(unit, name.partition(" #")[0])
    return unit


def _end(end: PathEnd, fused: Fused) -> str:
    if end.unit is None:
        return BEHAVIOUR_NODE
    unit = fused.one_id(unit_id(end.unit))
    fused.names.setdefault(unit, end.key)
    fused.places.setdefault(unit, end.address)
    return unit
