"""Compare two reports of one question: inputs, ranks, grades and effects. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.base import Grade, Interval
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.contracts.run_comparison import ChangedInput, CompareRunsRequest, Over, RankAgreement, UnitDrift
from interp_lab.errors import DifferentQuestions
from interp_lab.methods.difference import METHOD, Estimate, difference_of
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.rank_agreement import spearman, top_overlap
from interp_lab.workflows.memory.history import PastRun, read_run, same_words, weights_of
from interp_lab.workflows.memory.observations import clearest
from interp_lab.workflows.memory.units import coordinate_ids, edited_ids

_STATISTICS = "statistics.safetensors"
_SHOWN = 60
_TOP = 10
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared."""

    left: PastRun
    right: PastRun
    same_question: bool
    changed: tuple[ChangedInput, ...]
    agreement: RankAgreement
    units: tuple[UnitDrift, ...]
    """Every shared unit, those that moved most first."""
    n_left_only: int
    n_right_only: int


@dataclass(frozen=True, slots=True)
class _Row:
    """One unit of one report."""

    name: str
    grade: Grade
    estimate: Estimate
    measure: str
    at: float
    """Where no effect lies."""


def compare_runs(request: CompareRunsRequest, settings: Settings) -> Comparison:
    """Return the comparison.

    Raises:
        DifferentQuestions: The reports are of different kinds, or of different questions and that was not allowed.
        UnknownArtifact, ArtifactCorrupt, InvalidRequest: see `read_run`.
    """
    left, right = read_run(request.left, settings), read_run(request.right, settings)
    if left.manifest.kind != right.manifest.kind:
        raise DifferentQuestions(
            f"One is a {left.manifest.kind}, the other a {right.manifest.kind}.", remedy="Compare two of one kind."
        )
    differs = list(_question(left, right))
    if differs and not request.allow_different:
        raise DifferentQuestions(f"The {' and '.join(change.what for change in differs)} are not the same.")
    ours, theirs = _rows(left, settings), _rows(right, settings)
    shared = [unit for unit in ours if unit in theirs]
    drift = sorted((_drift(ours[unit], theirs[unit]) for unit in shared), key=_moved, reverse=True)
    return Comparison(
        left,
        right,
        same_question=not differs,
        changed=(*differs, *_changed(left, right)),
        agreement=_agreement(left, right, ours, theirs, settings=settings),
        units=tuple(drift),
        n_left_only=len(ours) - len(shared),
        n_right_only=len(theirs) - len(shared),
    )


def _question(left: PastRun, right: PastRun) -> Iterator[ChangedInput]:
    for what, one, other in (
        ("model", left.report.model.id, right.report.model.id),
        ("weights", weights_of(left.report.model), weights_of(right.report.model)),
        ("criterion", same_words(left.report.criterion), same_words(right.report.criterion)),
    ):
        if one != other and not (what == "weights" and left.report.model.id != right.report.model.id):
            yield ChangedInput(what=what, left=_short(one), right=_short(other))


def _changed(left: PastRun, right: PastRun) -> Iterator[ChangedInput]:
    """Yield what differs beside the question: prompts, split, versions, dictionaries, settings."""
    one, other = left.report, right.report
    pairs: list[tuple[str, object, object]] = [
        ("prompts", one.dataset.sha256, other.dataset.sha256),
        ("number of prompts", one.dataset.n_prompts, other.dataset.n_prompts),
        ("number of positives", one.dataset.n_positive, other.dataset.n_positive),
        ("seed", one.run.seed, other.run.seed),
        ("number format", one.model.dtype, other.model.dtype),
        ("device", one.model.device, other.model.device),
        ("code", one.run.code_version, other.run.code_version),
    ]
    pairs += [(f"setting {name}", a, b) for name, a, b in _either(left.request, right.request) if name not in _SAID]
    pairs += [(f"package {name}", a, b) for name, a, b in _either(one.run.packages, other.run.packages)]
    pairs += [
        (name, a, b)
        for name, a, b in _either(left.manifest.inputs, right.manifest.inputs)
        if name.startswith("dictionary")
    ]
    for what, a, b in pairs:
        if a != b:
            yield ChangedInput(what=what[:_SHOWN], left=_short(a), right=_short(b))


_SAID = frozenset({"model", "criterion", "seed", "report", "hypothesis", "dry_run", "wait_s", "request_key"})
"""Settings that are said elsewhere, or change nothing."""


def _either(one: Mapping[str, object], other: Mapping[str, object]) -> list[tuple[str, object, object]]:
    return [(name, one.get(name), other.get(name)) for name in sorted({*one, *other})]


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _rows(run: PastRun, settings: Settings) -> dict[str, _Row]:
    report = run.report
    if isinstance(report, InspectReport):
        return dict(_coordinates(run, report))
    return dict(_edited(run, report, settings))


def _coordinates(run: PastRun, report: InspectReport) -> Iterator[tuple[str, _Row]]:
    ids = coordinate_ids(run)
    for card in report.coordinates:
        name = f"{card.address} #{card.index}"
        auroc = (card.confirm or card.explore).auroc
        low, high = (auroc.value, auroc.value) if auroc.interval is None else (auroc.interval.low, auroc.interval.high)
        yield ids[name], _Row(name, card.grade, Estimate(auroc.value, low, high), "AUROC", 0.5)


def _edited(run: PastRun, report: InterveneReport, settings: Settings) -> Iterator[tuple[str, _Row]]:
    ids = edited_ids(run, lambda source: read_run(source, settings))
    for card in report.units:
        found = clearest(card).confirm or clearest(card).explore
        interval = found.effect_interval
        estimate = Estimate(found.effect, interval.low, interval.high)
        yield ids.get(card.unit, card.unit), _Row(card.unit, card.grade, estimate, report.behaviour.unit, 0.0)


def _drift(left: _Row, right: _Row) -> UnitDrift:
    found = difference_of(right.estimate, left.estimate)
    known = left.estimate.low < left.estimate.high and right.estimate.low < right.estimate.high
    return UnitDrift(
        unit=right.name,
        left_grade=left.grade,
        right_grade=right.grade,
        left_value=round(left.estimate.value, 4),
        right_value=round(right.estimate.value, 4),
        unit_of_value=right.measure,
        difference=round(found.value, 4),
        interval=Interval(low=round(found.low, 4), high=round(found.high, 4), level=_LEVEL, method=METHOD)
        if known
        else None,
    )


def _moved(row: UnitDrift) -> tuple[bool, float]:
    return row.left_grade != row.right_grade, abs(row.difference)


def beyond_uncertainty(row: UnitDrift) -> bool:
    """Return whether two runs differ in a unit by more than their own uncertainty."""
    return row.interval is not None and (row.interval.low > 0 or row.interval.high < 0)


def _agreement(
    left: PastRun, right: PastRun, ours: Mapping[str, _Row], theirs: Mapping[str, _Row], *, settings: Settings
) -> RankAgreement:
    everything = _all_aurocs(left, right, settings)
    if everything is not None:
        a, b = everything
        return _agreed(a - 0.5, b - 0.5, "every coordinate tested")
    shared = [unit for unit in ours if unit in theirs]
    a = np.array([ours[unit].estimate.value - ours[unit].at for unit in shared])
    b = np.array([theirs[unit].estimate.value - theirs[unit].at for unit in shared])
    return _agreed(a, b, "described units")


def _agreed(a: Floats, b: Floats, over: Over) -> RankAgreement:
    k = min(_TOP, a.size)
    return RankAgreement(
        n_shared=int(a.size),
        over=over,
        spearman=round(spearman(a, b), 4) if a.size > 1 else None,
        top_k=k,
        top_overlap=round(top_overlap(np.abs(a), np.abs(b), k), 4) if k else None,
        sign_flips=int(np.sum(a * b < 0)),
    )


def _all_aurocs(left: PastRun, right: PastRun, settings: Settings) -> tuple[Floats, Floats] | None:
    """Return the explore AUROCs of every coordinate that both tested, where both kept them."""
    one, other = (_aurocs(run, settings) for run in (left, right))
    shared = sorted(name for name in one if name in other and one[name].shape == other[name].shape)
    if not shared:
        return None
    return np.concatenate([one[name] for name in shared]), np.concatenate([other[name] for name in shared])


def _aurocs(run: PastRun, settings: Settings) -> dict[str, Floats]:
    if run.manifest.file(_STATISTICS) is None:
        return {}
    path = ArtifactStore(WorkspacePaths.of(settings)).path_of(run.id, _STATISTICS)
    tensors = load(path.read_bytes())
    latents = dict(_dictionaries_of(run))
    return {
        f"{latents.get(name.removesuffix('/auroc'), '')}{name}": np.asarray(values, dtype=np.float64)
        for name, values in tensors.items()
        if name.endswith("/auroc")
    }


def _dictionaries_of(run: PastRun) -> Iterator[tuple[str, str]]:
    """Yield the dictionary behind each address of latents, so that two of one shape are never compared."""
    for name, unit in coordinate_ids(run).items():
        address = name.rpartition(" #")[0]
        if "/" in address:
            yield address, f"{unit.rpartition('#')[0]}:"
