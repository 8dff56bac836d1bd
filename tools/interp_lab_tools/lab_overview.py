"""lab_overview: what this lab holds, can do and will not do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.artifacts import ArtifactRef
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.overview import (
    CapabilityEntry,
    DatasetEntry,
    Limits,
    ModelEntry,
    OverviewRequest,
    OverviewResult,
    Section,
    Versions,
)
from interp_lab.corpus.prompt_registry import SetEntry, list_registry
from interp_lab.corpus.prompt_set import MAX_PROMPTS
from interp_lab.errors import LabError
from interp_lab.models.facts import read_facts
from interp_lab.models.reference import known_models, locate
from interp_lab.reports.numbers import counted
from interp_lab_tools.capability import Effects, InlineCapability, JobCapability
from interp_lab_tools.lab import Lab
from interp_lab_tools.limits import ANSWER_CHARS, INLINE_PROMPTS, INPUT_BYTES
from interp_lab_tools.showing import shown
from interp_lab_tools.versions import code_version, package_versions, python_version, release
from interp_lab_tools.views import artifact_ref, job_entry

_LISTED = 5
_SHORT = 1
"""Jobs and artifacts of a kind in the overview of everything; a section that is asked for has more."""
_TITLE = 80
"""Characters of a title in the overview of everything."""
_MOST_SETS = 50
Listed = InlineCapability | JobCapability


def _handle(others: Sequence[Listed], request: OverviewRequest, lab: Lab) -> OverviewResult:
    wanted = frozenset(request.sections)
    models = _models(lab)
    datasets, n_more = _datasets(lab)
    jobs = lab.engine.list_jobs(limit=_LISTED).items
    return OverviewResult(
        summary=(
            f"{counted(len(models), 'model', 'models')}, {counted(len(datasets), 'dataset', 'datasets')}, "
            f"{counted(len(jobs), 'recent job', 'recent jobs')} in this workspace. "
            "Nothing here is a finding: run inspect for evidence."
        ),
        warnings=tuple(_warnings(lab, datasets, n_more)),
        agent_next_actions=_actions(models, datasets),
        workspace=str(lab.settings.workspace),
        models=models if _shown("models", wanted) else None,
        datasets=_own(datasets, wanted) if _shown("datasets", wanted) else None,
        in_the_box=None if wanted else _in_the_box(datasets),
        stores=_artifacts(lab, wanted, "activation_store") if _shown("stores", wanted) else None,
        dictionaries=_artifacts(lab, wanted, "dictionary") if _shown("dictionaries", wanted) else None,
        capabilities=_capabilities(others, lab) if "capabilities" in wanted else None,
        toolsets=None if wanted else _toolsets(others, lab),
        jobs=tuple(job_entry(lab, job) for job in jobs[: _length(wanted)]) if _shown("jobs", wanted) else None,
        recent_artifacts=_artifacts(lab, wanted) if _shown("artifacts", wanted) else None,
        limits=_limits(lab) if "limits" in wanted else None,
        versions=_versions(lab, wanted) if _shown("versions", wanted) else None,
    )


def _shown(section: Section, wanted: frozenset[Section]) -> bool:
    return not wanted or section in wanted


def _models(lab: Lab) -> tuple[ModelEntry, ...]:
    entries = (_model(lab, model_id) for model_id in known_models(lab.settings))
    return tuple(entry for entry in entries if entry is not None)


def _model(lab: Lab, model_id: str) -> ModelEntry | None:
    try:
        source = locate(ModelRef(id=model_id), lab.settings)
        if source is None:
            return None
        facts = read_facts(source.directory)
    except LabError:
        return None  # a folder with a config.json of something else is not a model; inspect says why when it is named
    return ModelEntry(
        id=model_id,
        architecture=facts.architecture or facts.model_type,
        n_layers=facts.n_layers,
        d_model=facts.d_model,
        context=facts.context_length,
        bytes=facts.weights.n_bytes,
    )


def _datasets(lab: Lab) -> tuple[tuple[DatasetEntry, ...], int]:
    """Return the sets to list, those of the box first, and how many more there are."""
    found = [_dataset(entry) for entry in list_registry(lab.settings)]
    own = [entry for entry in found if entry.origin != "builtin"]
    own.sort(key=lambda entry: not entry.problem)  # what is broken is never among those that are left out
    box = [entry for entry in found if entry.origin == "builtin"]
    return (*box, *own[:_MOST_SETS]), max(0, len(own) - _MOST_SETS)


def _own(datasets: Sequence[DatasetEntry], wanted: frozenset[Section]) -> tuple[DatasetEntry, ...]:
    own = tuple(entry for entry in datasets if entry.origin != "builtin" or entry.problem)
    return tuple(datasets) if wanted else own[:_LISTED]


def _in_the_box(datasets: Sequence[DatasetEntry]) -> dict[str, str]:
    box = (entry for entry in datasets if entry.origin == "builtin" and not entry.problem)
    return {entry.argument: _in_words(entry) for entry in box}


def _in_words(entry: DatasetEntry) -> str:
    pooling = f" [{entry.pooling}]" if entry.pooling else ""
    return f"{entry.criterion}{pooling}{' [caution]' if entry.caution else ''}"


def _dataset(entry: SetEntry) -> DatasetEntry:
    return DatasetEntry(
        name=entry.name,
        origin=entry.origin,
        argument=entry.argument,
        criterion=entry.criterion,
        n_prompts=entry.n_prompts,
        pooling=entry.pooling,
        caution=entry.caution,
        problem=entry.problem,
    )


def _warnings(lab: Lab, datasets: Sequence[DatasetEntry], n_more: int) -> Iterator[str]:
    if not _worker_ready(lab):
        yield "The worker's Python lacks torch: run interp-lab doctor."
    if broken := [entry for entry in datasets if entry.problem]:
        first = f"{broken[0].origin} {broken[0].name!r}: {broken[0].problem}"
        yield f"Prompt sets that cannot be used: {len(broken)} ({first})."
    if n_more:
        yield f"Prompt sets that are not listed: {n_more}; they can be named all the same."


def _capabilities(others: Sequence[Listed], lab: Lab) -> tuple[CapabilityEntry, ...]:
    here = _shown_here(others, lab)
    return tuple(
        CapabilityEntry(
            name=c.name,
            title=c.title,
            toolset=c.toolset,
            execution=c.execution,
            offered=c.name in here,
        )
        for c in others
    )


def _toolsets(others: Sequence[Listed], lab: Lab) -> dict[str, tuple[str, ...]]:
    """Return what a server with more toolsets would offer; its own tools are in its tool list."""
    here = _shown_here(others, lab)
    more = [c for c in others if c.toolset not in lab.toolsets and c.name not in here]
    return {toolset: tuple(c.name for c in more if c.toolset == toolset) for toolset in {c.toolset: 1 for c in more}}


def _shown_here(others: Sequence[Listed], lab: Lab) -> frozenset[str]:
    return frozenset(c.name for c in shown(others, lab.toolsets, read_only=lab.read_only))


def _length(wanted: frozenset[Section]) -> int:
    return _LISTED if wanted else _SHORT


def _artifacts(lab: Lab, wanted: frozenset[Section], kind: str | None = None) -> tuple[ArtifactRef, ...]:
    """Return the latest; in the overview of everything without their files, which artifact_list and sections have."""
    found = lab.engine.list_artifacts(kind=kind, limit=_length(wanted)).items
    refs = tuple(artifact_ref(lab, manifest) for manifest in found)
    return refs if wanted else tuple(map(_in_short, refs))


def _in_short(ref: ArtifactRef) -> ArtifactRef:
    title = ref.title if len(ref.title) <= _TITLE else f"{ref.title[:_TITLE].rpartition(' ')[0]} …"
    return ref.model_copy(update={"files": (), "path": None, "title": title})


def _limits(lab: Lab) -> Limits:
    settings = lab.settings
    return Limits(
        launcher=settings.launcher,
        cpu_slots=settings.cpu_slots,
        gpu_slots=settings.gpu_slots,
        queued_jobs_max=settings.queue_cap,
        prompts_inline_max=INLINE_PROMPTS,
        prompts_max=MAX_PROMPTS,
        file_bytes_max=INPUT_BYTES,
        answer_chars_max=ANSWER_CHARS,
        free_disk_bytes=shutil.disk_usage(settings.workspace).free,
        offline=settings.offline,
        trust_remote_code=settings.trust_remote_code,
        worker_ready=_worker_ready(lab),
    )


def _worker_ready(lab: Lab) -> bool:
    """Return whether a job could import its libraries, as far as this process can tell without importing them."""
    elsewhere = lab.settings.worker_python is not None or bool(lab.settings.worker_command)
    return elsewhere or all(find_spec(name) is not None for name in ("torch", "transformers"))


def _versions(lab: Lab, wanted: frozenset[Section]) -> Versions:
    return Versions(
        interp_lab=release(),
        code_version=code_version(),
        python=python_version(),
        packages=package_versions() if wanted else {},
        server_uptime_s=round(time.monotonic() - lab.opened_at, 1),
    )


def _actions(models: tuple[ModelEntry, ...], datasets: tuple[DatasetEntry, ...]) -> tuple[NextAction, ...]:
    clean = next((d for d in datasets if d.origin == "builtin" and d.pooling and not d.caution), None)
    if not models or clean is None:
        return ()
    arguments = {
        "model": models[0].id,
        "criterion": clean.criterion,
        "dataset": clean.argument,
        "pooling": clean.pooling,
    }
    return (NextAction(tool="inspect", arguments=dict(arguments), why="See which coordinates follow a criterion."),)


def lab_overview(others: Sequence[Listed]) -> InlineCapability:
    """Return the capability, which lists the others: it is made by the catalogue, which alone knows them all."""
    return InlineCapability(
        name="lab_overview",
        title="See what this lab holds and can do",
        guidance=(
            "Call it first. Returns the models and datasets that can be named, the tools of every toolset, recent jobs "
            "and artifacts, limits and versions. Give sections to get only some, in full. It computes and proves "
            "nothing."
        ),
        request=OverviewRequest,
        result=OverviewResult,
        handler=partial(_handle, others),
        effects=Effects(read_only=True),
        toolset="core",
        changes="No claim; it says what can be named.",
        example={"sections": ["models", "datasets"]},
    )
