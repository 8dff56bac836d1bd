"""Runs that test a registered hypothesis: is it the run that was registered, and what came of it. No torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from interp_lab.contracts.hypotheses import HypothesisMetric, HypothesisRecord
from interp_lab.contracts.hypothesis_outcome import HypothesisOutcome, SizeFound, Verdict
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene import Metric
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.contracts.models import ModelRef
from interp_lab.errors import HypothesisMismatch
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.evidence.looks import corrected_q, level_at
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import contents_of, read_history, same_words
from interp_lab.workflows.memory.looks import Split, dictionaries_of, earlier_looks
from interp_lab.workflows.memory.observations import clearest
from interp_lab.workflows.memory.registry import find_hypothesis


@dataclass(frozen=True, slots=True)
class Intended:
    """What a run is about to do, as far as a hypothesis says it."""

    model: ModelRef
    criterion: str
    dataset_sha256: str
    n_positive: int
    seed: int
    metric: HypothesisMetric | Metric
    units: Collection[str] | None
    """Ids of the units, dictionaries by their one name; None where the run ranks whatever it finds."""


def refuse_other_run(hypothesis: str | None, intended: Intended, settings: Settings) -> HypothesisRecord | None:
    """Return the hypothesis that a run names, None for none, after checking that this is the run it is about.

    Its unit has the one name that its dictionary has now: it may have been registered under another.

    Raises:
        UnknownHypothesis, RegistryBroken: see `find_hypothesis`.
        HypothesisMismatch: Something differs from what was registered.
    """
    if hypothesis is None:
        return None
    found = find_hypothesis(hypothesis, settings)
    record = found.model_copy(update={"unit": contents_of(settings).unit(found.unit)})
    asked = record.request
    for name, registered, here in (
        ("model", asked.model.id, intended.model.id),
        ("criterion", same_words(asked.criterion), same_words(intended.criterion)),
        ("metric", asked.metric, intended.metric),
        ("prompts", record.dataset_sha256, intended.dataset_sha256),
        ("number of positives", record.n_positive, intended.n_positive),
        ("seed", asked.seed, intended.seed),
        ("files of the model", record.model_fingerprint, fingerprint(intended.model, settings)),
    ):
        if registered != here:
            raise HypothesisMismatch(f"The {name} registered is {str(registered)[:80]!r}, not {str(here)[:80]!r}.")
    if intended.units is not None and record.unit not in intended.units:
        raise HypothesisMismatch(f"The unit registered is {record.unit[:80]}, which this run does not edit.")
    return record


def looks_before(
    intended: Intended, request: Mapping[str, JsonValue], settings: Settings, *, edits: bool
) -> dict[str, int]:
    """Return for each unit how many runs of the workspace graded it on these confirm prompts with other settings."""
    split = Split(
        intended.model.id,
        same_words(intended.criterion),
        intended.dataset_sha256,
        n_positive=intended.n_positive,
        seed=intended.seed,
    )
    same = contents_of(settings).names(dictionaries_of(request))
    return earlier_looks(read_history(settings).runs, split, request, edits=edits, same=same)


def registered_words(found: HypothesisOutcome | None) -> tuple[str, ...]:
    """Return what came of a registered hypothesis in one line; nothing where none was named."""
    if found is None:
        return ()
    verdict = found.verdict.replace("_", " ")
    return (f"Registered beforehand ({found.id[:12]}): {verdict}, held to q ≤ {found.level:.2g}.",)


class _Found(NamedTuple):
    """What came, turned so that the registered direction is upwards."""

    value: float
    low: float
    high: float
    q: float
    beyond: tuple[float, float]
    """Interval that decides: of effect beyond control, or of AUROC from 0.5."""


def outcome(
    record: HypothesisRecord,
    report: InspectReport | InterveneReport,
    *,
    name_of: Callable[[str], str | None],
    looks: int,
) -> HypothesisOutcome:
    """Return what a report shows of a hypothesis; `name_of` gives what the report calls the unit of that id."""
    name = name_of(record.unit)
    sign = 1 if record.request.direction == "raises" else -1
    found = None if name is None else _found(report, name, sign)
    return HypothesisOutcome(
        id=record.id,
        registered_at=record.registered_at,
        statement=record.statement,
        unit=name or record.unit,
        verdict=_verdict(found, looks),
        size=None if found is None else _size(found, record.request.least_effect),
        value=None if found is None else round(sign * found.value, 6),
        low=None if found is None else round(min(sign * found.low, sign * found.high), 6),
        high=None if found is None else round(max(sign * found.low, sign * found.high), 6),
        least_effect=record.request.least_effect,
        q_value=None if found is None else found.q,
        earlier_looks=looks,
        level=round(level_at(looks, Q_LEVEL), 6),
    )


def _found(report: InspectReport | InterveneReport, name: str, sign: int) -> _Found | None:
    return _of_correlation(report, name, sign) if isinstance(report, InspectReport) else _of_edit(report, name, sign)


def _of_correlation(report: InspectReport, name: str, sign: int) -> _Found | None:
    card = next((card for card in report.coordinates if f"{card.address} #{card.index}" == name), None)
    if card is None or card.confirm is None or card.confirm.auroc.interval is None or card.confirm.q_value is None:
        return None
    interval = card.confirm.auroc.interval
    low, high = sorted((sign * (interval.low - 0.5), sign * (interval.high - 0.5)))
    return _Found(sign * (card.confirm.auroc.value - 0.5), low, high, card.confirm.q_value, (low, high))


def _of_edit(report: InterveneReport, name: str, sign: int) -> _Found | None:
    card = next((card for card in report.units if card.unit == name), None)
    confirm = None if card is None else clearest(card).confirm
    if confirm is None or report.behaviour.flags:
        return None
    effect, beyond = confirm.effect_interval, confirm.difference_interval
    low, high = sorted((sign * effect.low, sign * effect.high))
    decisive = sorted((sign * beyond.low, sign * beyond.high))
    return _Found(sign * confirm.effect, low, high, confirm.q_value, (decisive[0], decisive[1]))


def _verdict(found: _Found | None, looks: int) -> Verdict:
    if found is None:
        return "not_measured"
    if corrected_q(found.q, looks) > Q_LEVEL:
        return "not_confirmed"
    low, high = found.beyond
    return "confirmed" if low > 0 else "opposite" if high < 0 else "not_confirmed"


def _size(found: _Found, least: float) -> SizeFound:
    if found.low >= least:
        return "at_least"
    return "smaller" if found.high < least else "undecided"
