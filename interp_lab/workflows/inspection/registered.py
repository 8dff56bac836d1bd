"""An inspection beside what the workspace remembers: the hypothesis that it tests, and earlier looks at its prompts."""

from __future__ import annotations

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.settings import Settings
from interp_lab.workflows.memory.confirming import Intended, looks_before, outcome, refuse_other_run
from interp_lab.workflows.memory.history import contents_of
from interp_lab.workflows.memory.units import ids_of_coordinates


def refuse_unregistered(request: InspectRequest, prompts: PromptSet, settings: Settings) -> None:
    """Check that the run is the one its hypothesis is about, where it names one.

    Raises:
        UnknownHypothesis, HypothesisMismatch, RegistryBroken: see `refuse_other_run`.
    """
    refuse_other_run(request.hypothesis, _intended(request, prompts), settings)


def with_memory(
    report: InspectReport, request: InspectRequest, prompts: PromptSet, settings: Settings
) -> InspectReport:
    """Return the report with what was registered and what came; a unit that is not described was not measured."""
    intended = _intended(request, prompts)
    record = refuse_other_run(request.hypothesis, intended, settings)
    if record is None:
        return report
    asked = request.model_dump(mode="json", exclude=set(RUN_CONTROLS))
    looks = looks_before(intended, asked, settings, edits=False).get(record.unit, 0)
    contents = contents_of(settings)
    ids = ids_of_coordinates(
        report, request.dictionaries, contents.behind(asked), same=contents.names(request.dictionaries)
    )
    names = {unit: name for name, unit in ids.items()}
    return report.model_copy(update={"hypothesis": outcome(record, report, name_of=names.get, looks=looks)})


def _intended(request: InspectRequest, prompts: PromptSet) -> Intended:
    return Intended(
        model=request.model,
        criterion=request.criterion,
        dataset_sha256=prompts.sha256,
        n_positive=sum(prompts.positive(request.threshold)),
        seed=request.seed,
        metric="auroc",
        units=None,
    )
