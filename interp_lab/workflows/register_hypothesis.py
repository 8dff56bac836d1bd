"""Register a hypothesis: what a run will show, said before it, on prompts that had no part in the idea. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from interp_lab.contracts.hypotheses import HypothesisRecord, RegisterHypothesisRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.prompts import PromptArgument, PromptSource
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import DiscoveryRowsReused, InvalidRequest, LabError
from interp_lab.evidence.groups import group_prompts
from interp_lab.evidence.split import Split as Halves
from interp_lab.evidence.split import split_groups
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import PastRun, contents_of, read_history, same_words
from interp_lab.workflows.memory.looks import Split, earlier_looks
from interp_lab.workflows.memory.registry import append
from interp_lab.workflows.memory.units import coordinate_ids, unit_id

_DATASET: TypeAdapter[PromptSource] = TypeAdapter(PromptArgument)
_UNITS = {"auroc": "AUROC from 0.5", "logit_difference": "logits", "log_probability": "nats"}


@dataclass(frozen=True, slots=True)
class Registration:
    """What was registered, and what was looked at before."""

    record: HypothesisRecord
    earlier_looks: int
    checked_against: tuple[str, ...]
    unknown: tuple[str, ...]
    """Reports that describe the unit and whose prompts are no longer there to compare."""


def register_hypothesis(request: RegisterHypothesisRequest, settings: Settings) -> Registration:
    """Return the record that was written.

    Raises:
        DiscoveryRowsReused: The confirm prompts, or near-duplicates of them, helped to find the unit.
        SplitImpossible, InvalidPrompts, OneSidedPrompts: The prompts leave nothing to confirm on.
        RegistryBroken: The registry is not what was written.
    """
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    halves = _halves(prompts, request.threshold, request.seed)
    unit = contents_of(settings).unit(unit_id(request.unit))
    runs = read_history(settings).runs
    found_in = _described(runs, request, unit)
    unknown = tuple(_refuse_discovery(request, prompts, halves, found_in=found_in, settings=settings))
    n_positive = sum(prompts.positive(request.threshold))
    record = append(_fields(request, prompts, halves, unit=unit, settings=settings), settings)
    split = Split(
        request.model.id, same_words(request.criterion), prompts.sha256, n_positive=n_positive, seed=request.seed
    )
    looks = earlier_looks(runs, split, {}, edits=request.metric != "auroc")
    checked = tuple(run.id for run in found_in if run.id not in unknown)
    return Registration(record, looks.get(unit, 0), checked, unknown)


def say(request: RegisterHypothesisRequest, prompts: PromptSet) -> str:
    """Return the hypothesis as a sentence."""
    name = request.unit.name or unit_id(request.unit)
    if request.metric == "auroc":
        way = "higher" if request.direction == "raises" else "lower"
        what = f"{name} is {way} where '{request.criterion}' holds"
    else:
        what = f"more of {name} {request.direction} the {request.metric.replace('_', ' ')} of '{request.criterion}'"
    return (
        f"{what}, by at least {request.least_effect:g} {_UNITS[request.metric]}, in {request.model.id}, on the confirm "
        f"prompts of {prompts.name} at seed {request.seed}."
    )


def _halves(prompts: PromptSet, threshold: float, seed: int) -> Halves:
    return split_groups(prompts.texts(), prompts.positive(threshold), prompt_groups(prompts), seed=seed)


def _fields(
    request: RegisterHypothesisRequest, prompts: PromptSet, halves: Halves, *, unit: str, settings: Settings
) -> dict[str, Any]:
    labels = prompts.positive(request.threshold)
    groups = {halves.group_keys[i] for i in halves.rows("confirm") if labels[i]}
    return {
        "by": settings.investigator[:60],
        "unit": unit,
        "statement": say(request, prompts),
        "model_fingerprint": fingerprint(request.model, settings),
        "dataset_sha256": prompts.sha256,
        "n_positive": sum(labels),
        "n_confirm_groups": len(groups),
        "request": request,
    }


def _described(runs: Sequence[PastRun], request: RegisterHypothesisRequest, unit: str) -> tuple[PastRun, ...]:
    """Return the inspect runs that describe the unit on this question: each of them may have suggested it."""
    found = tuple(
        run
        for run in runs
        if isinstance(run.report, InspectReport)
        and run.report.model.id == request.model.id
        and same_words(run.report.criterion) == same_words(request.criterion)
        and (run.id == request.found_in or unit in coordinate_ids(run).values())
    )
    if request.found_in is not None and request.found_in not in {run.id for run in found}:
        raise InvalidRequest(f"{request.found_in} is no inspect report of this model and criterion.")
    return found


def _refuse_discovery(
    request: RegisterHypothesisRequest,
    prompts: PromptSet,
    halves: Halves,
    *,
    found_in: Sequence[PastRun],
    settings: Settings,
) -> Iterator[str]:
    """Refuse confirm prompts that are, or resemble, those that ranked the unit; yield runs that cannot be compared."""
    confirm = [prompts.prompts[i].text for i in halves.rows("confirm")]
    seeds = sorted({run.report.run.seed for run in found_in})
    for run in found_in:
        used = _explore_texts(run, settings)
        if used is None:
            if run.id == request.found_in:
                raise DiscoveryRowsReused(
                    f"The prompts of report {run.id[:12]} are no longer as they were: which of them chose the unit is "
                    "not known.",
                    remedy="Restore them, or measure the unit on them anew.",
                )
            yield run.id
            continue
        groups = group_prompts([*used, *confirm])
        if shared := set(groups[: len(used)]) & set(groups[len(used) :]):
            raise DiscoveryRowsReused(
                f"{len(shared)} of the prompts that would confirm, or near-duplicates of them, ranked this unit in "
                f"report {run.id[:12]} (seed {run.report.run.seed}).",
                remedy=f"Use that report's dataset with seed {seeds[0]}, or prompts that are new."
                if len(seeds) == 1
                else f"Use prompts that are new: reports with seeds {', '.join(map(str, seeds))} ranked the unit, and "
                "no split of these prompts keeps clear of all of them.",
            )


def _explore_texts(run: PastRun, settings: Settings) -> list[str] | None:
    """Return the texts that ranked in a run; None where its prompts are not there as they were."""
    try:
        prompts = open_prompts(_DATASET.validate_python(run.request.get("dataset")), settings)
        threshold, report = float(str(run.request.get("threshold", 0.5))), run.report
        if prompts.sha256 != report.dataset.sha256 or sum(prompts.positive(threshold)) != report.dataset.n_positive:
            return None
        if not report.dataset.n_confirm:
            return list(prompts.texts())
        halves = _halves(prompts, threshold, report.run.seed)
    except (LabError, ValidationError, ValueError):
        return None
    return [prompts.prompts[i].text for i in halves.rows("explore")]
