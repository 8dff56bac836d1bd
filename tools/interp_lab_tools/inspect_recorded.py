"""What an inspection of recorded values would cost, from what the source says of itself."""

from __future__ import annotations

import hashlib

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.workspace import is_artifact_id
from interp_lab.contracts.inspect import InspectPlan, InspectRequest
from interp_lab.contracts.inspect_evidence import DirectionsEvidence, FeaturesEvidence, RecordsEvidence, StoreEvidence
from interp_lab.errors import InvalidRequest
from interp_lab.workflows.inspection.asked import further
from interp_lab.workflows.inspection.edited.sources import check_edits
from interp_lab_tools.capability import Plan
from interp_lab_tools.lab import Lab

_BYTES_PER_VALUE = 4


def plan_recorded(request: InspectRequest, lab: Lab) -> Plan:
    """Return the plan of an inspection that runs no model.

    Raises:
        RequestError, NotFoundError: the source is not there, or what it says of itself does not fit the request.
    """
    match request.evidence:
        case StoreEvidence() as source:
            plan = _of_store(request, source, lab)
            stamp = source.store if is_artifact_id(source.store) else _folder_stamp(source.store, lab)
        case RecordsEvidence() as source:
            path = resolve_input(lab.settings.workspace, source.path, read_roots=lab.settings.read_roots, kind="file")
            status = path.stat()
            plan = InspectPlan(
                n_prompts=0,
                n_positive=0,
                n_negative=0,
                n_groups=None,
                addresses=None,
                n_coordinates=None,
                n_forward_passes=0,
                weight_bytes=None,
                peak_bytes=2 * status.st_size,
            )
            stamp = f"{status.st_size}:{status.st_mtime_ns}"
        case None | FeaturesEvidence() | DirectionsEvidence():
            raise InvalidRequest("No recorded values were named.")
    return Plan(
        summary=_in_words(plan, request),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{request.criterion[:80]} in {request.model.id}",
        slot="cpu",
        inputs={"evidence": stamp, **check_edits(request, lab.settings)},
    )


def _of_store(request: InspectRequest, source: StoreEvidence, lab: Lab) -> InspectPlan:
    from interp_lab.store.locate import open_named_store  # lazy: pyarrow, only for a store
    from interp_lab.workflows.inspection.recorded import prompt_set  # lazy: numpy, as above
    from interp_lab.workflows.inspection.store_values import store_facts, stored_prompts  # lazy: as above

    store = open_named_store(source.store, lab.settings)
    store_facts(store.manifest, request.model.id, source.store)
    columns = [store.column(key) for key in source.columns or store.keys]
    prompts = prompt_set(source.store, stored_prompts(store), request)
    for one in further(request):
        prompt_set(source.store, stored_prompts(store), one)
    n_prompts, n_positive = len(prompts.prompts), sum(prompts.positive(request.threshold))
    n_coordinates = sum(column.width for column in columns)
    return InspectPlan(
        n_prompts=n_prompts,
        n_positive=n_positive,
        n_negative=n_prompts - n_positive,
        n_groups=None,
        addresses=tuple(column.key for column in columns),
        n_coordinates=n_coordinates,
        n_criteria=1 + len(request.also),
        n_forward_passes=0,
        weight_bytes=None,
        peak_bytes=3 * n_prompts * n_coordinates * _BYTES_PER_VALUE,
    )


def _folder_stamp(name: str, lab: Lab) -> str:
    folder = resolve_input(lab.settings.workspace, name, read_roots=lab.settings.read_roots, kind="folder")
    stamps = [f"{p.name}:{(status := p.stat()).st_size}:{status.st_mtime_ns}" for p in sorted(folder.iterdir())]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def _in_words(plan: InspectPlan, request: InspectRequest) -> str:
    if plan.n_coordinates is None:
        return f"The records of {request.model.id} in one file; no model is run. Prompts are counted as they are read."
    return (
        f"{plan.n_prompts} prompts ({plan.n_positive} positive), {plan.n_coordinates} coordinates of "
        f"{len(plan.addresses or ())} columns; no model is run; at most {(plan.peak_bytes or 0) / 2**20:.0f} MiB."
    )
