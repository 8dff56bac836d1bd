"""An intervention beside what the workspace remembers: the hypothesis it tests, and earlier looks at its prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.sources import Found
from interp_lab.workflows.memory.confirming import Intended, looks_before, outcome, refuse_other_run
from interp_lab.workflows.memory.contents import Contents
from interp_lab.workflows.memory.history import contents_of


def refuse_unregistered(
    request: InterveneRequest, prompts: PromptSet, found: Sequence[Found], settings: Settings
) -> None:
    """Check that the run is the one its hypothesis is about, where it names one.

    Raises:
        UnknownHypothesis, HypothesisMismatch, RegistryBroken: see `refuse_other_run`.
    """
    refuse_other_run(request.hypothesis, _intended(request, prompts, found, settings), settings)


def earlier_looks_of(
    request: InterveneRequest, prompts: PromptSet, found: Sequence[Found], settings: Settings
) -> dict[str, int]:
    """Return by name of each unit how many runs graded it on these confirm prompts before, with other settings."""
    asked = request.model_dump(mode="json", exclude=set(RUN_CONTROLS))
    by_id = looks_before(_intended(request, prompts, found, settings), asked, settings, edits=True)
    contents = contents_of(settings)
    counted = {each.key: max(by_id.get(unit, 0) for unit in _ids(each, contents)) for each in found}
    return {name: n for name, n in counted.items() if n}


def with_memory(
    report: InterveneReport,
    request: InterveneRequest,
    prompts: PromptSet,
    *,
    found: Sequence[Found],
    looks: Mapping[str, int],
    settings: Settings,
) -> InterveneReport:
    """Return the report with what was registered and with the looks that it counted."""
    record = refuse_other_run(request.hypothesis, _intended(request, prompts, found, settings), settings)
    contents = contents_of(settings)
    names = {unit: each.key for each in found for unit in _ids(each, contents)}
    tested = None
    if record is not None:
        tested = outcome(record, report, name_of=names.get, looks=looks.get(names.get(record.unit, ""), 0))
    lines = (
        f"These confirm prompts were asked about {name} before with other settings (calls so far: {n}): its q counts "
        f"times {(n + 1) ** 2}; new prompts count fresh."
        for name, n in looks.items()
    )
    return report.model_copy(
        update={"hypothesis": tested, "earlier_looks": dict(looks), "caveats": (*report.caveats, *lines)}
    )


def _ids(found: Found, contents: Contents) -> tuple[str, ...]:
    """Ids that mean the unit, whatever its dictionary is called."""
    return tuple(dict.fromkeys(contents.unit(unit) for unit in found.ids))


def _intended(request: InterveneRequest, prompts: PromptSet, found: Sequence[Found], settings: Settings) -> Intended:
    contents = contents_of(settings)
    return Intended(
        model=request.model,
        criterion=request.criterion,
        dataset_sha256=prompts.sha256,
        n_positive=sum(prompts.positive(request.threshold)),
        seed=request.seed,
        metric=request.metric,
        units={unit for each in found for unit in _ids(each, contents)},
    )
