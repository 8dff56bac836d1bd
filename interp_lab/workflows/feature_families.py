"""Features that several models share, from the reports of comparisons. No torch, nothing is measured anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.base import Grade
from interp_lab.contracts.compare import COMPARISON_KIND, ComparedUnit, ComparisonReport, Match
from interp_lab.contracts.feature_families import (
    FamiliesReport,
    FamiliesRequest,
    FamilyPair,
    FamilyUnit,
    FeatureFamily,
    LoneUnit,
)
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.errors import DifferentQuestions, InvalidRequest
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.methods.shared_features import Family, families
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.memory.history import REPORT_FILE, same_words, weights_of

_MAX_BYTES = 64 * 2**20
_N_PROMOTED = 5
_HASH_CHARS = 8
_HELD: tuple[Grade, ...] = ("needs_causal_evidence", "validated")
"""Grades of a match that joins two units; contradicted pairs follow the same prompts and do opposite things."""


class Tested(NamedTuple):
    """One pair of units that some comparison tested."""

    match: Match
    q: float
    """Over every pair of all comparisons."""

    @property
    def joins(self) -> bool:
        """Whether it makes two units one feature."""
        return self.q <= Q_LEVEL and self.match.grade in _HELD


class Table(NamedTuple):
    """Every unit and every pair of them, by number."""

    models: tuple[str, ...]
    sides: tuple[tuple[str, str], ...]
    """Models of each comparison."""
    units: tuple[FamilyUnit, ...]
    pairs: Mapping[tuple[int, int], Tested]


def feature_families(request: FamiliesRequest, settings: Settings) -> FamiliesReport:
    """Return the table of shared and private features.

    Raises:
        InvalidRequest: An artifact is no comparison, or one that this version cannot read, or all are of one model.
        DifferentQuestions: They are not about one criterion and the same prompts, or do not compare in the same way.
        UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
    """
    names = tuple(dict.fromkeys(request.comparisons))
    reports = [_read(name, settings) for name in names]
    _refuse_mixed(reports)
    table = _table(reports)
    if len(set(table.models)) == 1:
        raise InvalidRequest(
            f"All comparisons are within {reports[0].left.id[:80]}: no feature is shared by models or private to one.",
            remedy="Name comparisons of two models or more with different weights.",
        )
    found = families({pair: tested.q for pair, tested in table.pairs.items() if tested.joins})
    shared = sorted((_family(one, table) for one in found), key=lambda one: (-one.n_models, one.weakest_q))
    together = {member for one in found for member in one.members}
    lone = [_lone(unit, table) for unit in range(len(table.units)) if unit not in together]
    report = FamiliesReport(
        headline="-",
        criterion=reports[0].criterion,
        by=reports[0].by,
        dataset_sha256=reports[0].dataset_sha256,
        comparisons=names,
        models=table.models,
        sides=table.sides,
        missing=tuple(_missing(table.sides, table.models)),
        n_pairs=len(table.pairs),
        families=tuple(shared),
        lone=tuple(sorted(lone, key=lambda one: (not one.complete, one.closest_q))),
        caveats=(),
    )
    return report.model_copy(update={"headline": _headline(report), "caveats": tuple(_caveats(report))})


def _read(name: str, settings: Settings) -> ComparisonReport:
    store = ArtifactStore(WorkspacePaths.of(settings))
    store.open_as(name, COMPARISON_KIND)
    try:
        return ComparisonReport.model_validate_json(store.read_file(name, REPORT_FILE, limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {name} is not one this version reads.") from error


def _refuse_mixed(reports: Sequence[ComparisonReport]) -> None:
    for what, values in (
        ("criteria", {same_words(report.criterion) for report in reports}),
        ("prompts", {report.dataset_sha256 for report in reports}),
        ("ways of comparing", {report.by for report in reports}),
        ("splits of the prompts", {report.run.seed for report in reports}),
    ):
        if len(values) > 1:
            raise DifferentQuestions(
                f"The comparisons have {len(values)} different {what}, so their matches do not make families.",
                remedy="Compare every pair of models with the same criterion, dataset, by and seed.",
            )


def _table(reports: Sequence[ComparisonReport]) -> Table:
    called = _names([facts for report in reports for facts in (report.left, report.right)])
    places: dict[tuple[str, str, int], int] = {}
    units: list[FamilyUnit] = []
    tested: dict[tuple[int, int], Match] = {}
    for report in reports:
        left, right = called[_key(report.left)], called[_key(report.right)]
        for match in report.matches:
            ends = [_place(places, units, name, unit) for name, unit in ((left, match.left), (right, match.right))]
            pair = (min(ends), max(ends))
            if pair not in tested or _p(match) > _p(tested[pair]):
                tested[pair] = match  # asked twice, for example from both sides: the more cautious answer counts
    q = benjamini_hochberg([_p(match) for match in tested.values()]) if tested else ()
    pairs = {pair: Tested(match, float(each)) for (pair, match), each in zip(tested.items(), q, strict=True)}
    sides = tuple((called[_key(report.left)], called[_key(report.right)]) for report in reports)
    return Table(tuple(dict.fromkeys(called.values())), sides, tuple(units), pairs)


def _names(every: Sequence[ModelFacts]) -> dict[tuple[str, str], str]:
    """Return what each model is called, by weights and number format: its id, and what sets it apart."""
    ids = {_key(facts): facts.id for facts in every}
    called: dict[tuple[str, str], str] = {}
    for (weights, dtype), name in ids.items():
        namesakes = [key for key, other in ids.items() if other == name and key != (weights, dtype)]
        parts = [f"in {dtype}"] if any(other != dtype for _, other in namesakes) else []
        parts += [f"weights {weights[:_HASH_CHARS]}"] if any(other != weights for other, _ in namesakes) else []
        called[weights, dtype] = f"{name} ({', '.join(parts)})" if parts else name
    return called


def _key(facts: ModelFacts) -> tuple[str, str]:
    """A model in another number format is another model, though its weights on disk are the same."""
    return weights_of(facts), facts.dtype


def _place(places: dict[tuple[str, str, int], int], units: list[FamilyUnit], model: str, unit: ComparedUnit) -> int:
    key = (model, unit.address, unit.index)
    if key not in places:
        promoted = unit.promoted[:_N_PROMOTED]
        places[key] = len(units)
        units.append(FamilyUnit(model=model, address=unit.address, index=unit.index, promoted=promoted))
    return places[key]


def _p(match: Match) -> float:
    return max(match.p_prompts, match.p_units)


def _family(found: Family, table: Table) -> FeatureFamily:
    order = sorted(found.members, key=lambda unit: (table.models.index(table.units[unit].model), unit))
    place = {unit: number for number, unit in enumerate(order)}
    pairs: list[FamilyPair] = []
    grades: list[Grade] = []
    n_not_tested = 0
    for chain in found.chains:
        tested = table.pairs.get((chain.left, chain.right))
        if tested is not None and tested.joins:
            grades.append(tested.match.grade)
        if table.units[chain.left].model == table.units[chain.right].model:
            continue
        if tested is None:
            n_not_tested += 1
            continue
        pairs.append(
            FamilyPair(
                left=min(place[chain.left], place[chain.right]),
                right=max(place[chain.left], place[chain.right]),
                status="matched" if tested.joins else "tested_and_not_matched",
                q_value=tested.q,
                similarity=tested.match.similarity,
                weakest_q=chain.weakest,
            )
        )
    whole = all(grade == "validated" for grade in grades) and not n_not_tested
    whole = whole and all(pair.status == "matched" for pair in pairs)
    return FeatureFamily(
        members=tuple(table.units[unit] for unit in order),
        n_models=len({table.units[unit].model for unit in order}),
        weakest_q=found.weakest,
        grade="validated" if whole else "needs_causal_evidence",
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.left, pair.right))),
        n_not_tested=n_not_tested,
    )


def _lone(unit: int, table: Table) -> LoneUnit:
    own = {pair: tested for pair, tested in table.pairs.items() if unit in pair}
    others = {table.units[end].model for pair in own for end in pair} - {table.units[unit].model}
    return LoneUnit(
        unit=table.units[unit],
        tested_against=tuple(model for model in table.models if model in others),
        complete=len(others) == len(table.models) - 1,
        closest_q=min(tested.q for tested in own.values()),
    )


def _missing(sides: Sequence[tuple[str, str]], models: Sequence[str]) -> Iterator[tuple[str, str]]:
    done = {frozenset(pair) for pair in sides}
    for one, two in combinations(models, 2):
        if frozenset((one, two)) not in done:
            yield one, two


def _headline(report: FamiliesReport) -> str:
    across = [one for one in report.families if one.n_models > 1]
    every = sum(one.n_models == len(report.models) for one in across)
    whole = sum(one.n_models > 2 and _all_matched(one) for one in across)
    private = sum(one.complete for one in report.lone)
    how = "do the same to words" if report.by == "effects" else "respond alike"
    groups = counted(len(across), "group", "groups")
    return (
        f"Of {len(report.models)} models, {groups} of units {how} on “{report.criterion}” prompts "
        f"(q ≤ {Q_LEVEL:g} over {report.n_pairs} pairs), {every} of them in every model and {whole} with every pair of "
        f"three or more matched itself; {private} units matched none of the other models' units that were tried. Not "
        "found is not absent."
    )


def _all_matched(family: FeatureFamily) -> bool:
    return not family.n_not_tested and all(pair.status == "matched" for pair in family.pairs)


def _caveats(report: FamiliesReport) -> Iterator[str]:
    pairs = [pair for one in report.families for pair in one.pairs]
    broken = sum(pair.status == "tested_and_not_matched" for pair in pairs)
    indirect = sum(one.n_not_tested for one in report.families)
    if broken:
        yield f"{broken} pairs within families were tested and did not match: being alike need not carry over."
    if indirect:
        yield f"{indirect} pairs within families hang together through others only; their weakest_q is no test of them."
    if report.missing:
        yield f"{len(report.missing)} pairs of models were not compared, so private is only as far as tested."
    if report.by == "responses":
        yield "Units that respond alike need not do the same; compare by effects, or name interventions."
    yield "Only units that follow the criterion best were tried, and each with few counterparts."
