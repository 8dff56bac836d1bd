"""The units that an intervention report of the base validated. Torch-free, so plans use it too."""

from __future__ import annotations

import re

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.diff_models import DiffModelsRequest
from interp_lab.contracts.intervene import REPORT_KIND
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import same_words

_MAX_BYTES = 64 * 2**20
_UNIT = re.compile(r"(\S+) #([0-9]{1,8})")


def validated_units(request: DiffModelsRequest, prompts_sha256: str, settings: Settings) -> tuple[tuple[str, int], ...]:
    """Return address and index of every unit that the report graded validated; none without a report.

    Raises:
        InvalidRequest: The report is of another model, criterion or seed or other prompts, or is no such report.
        UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
    """
    if request.report is None:
        return ()
    report = _read(request.report, settings)
    for name, there, here in (
        ("model", report.model.id, request.base.id),
        ("prompts", report.dataset.sha256, prompts_sha256),
        ("criterion", same_words(report.criterion), same_words(request.criterion)),
        ("seed", str(report.run.seed), str(request.seed)),
    ):
        if there != here:
            raise InvalidRequest(f"The {name} of intervention report {request.report} are not those of this diff.")
    named = (_UNIT.fullmatch(unit.unit) for unit in report.units if unit.grade == "validated")
    return tuple((match[1], int(match[2])) for match in named if match)


def _read(artifact: str, settings: Settings) -> InterveneReport:
    store = ArtifactStore(WorkspacePaths.of(settings))
    kind = store.open(artifact).kind
    if kind != REPORT_KIND:
        raise InvalidRequest(f"Artifact {artifact} is a {kind}, not an {REPORT_KIND}.")
    try:
        return InterveneReport.model_validate_json(store.read_file(artifact, "report.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact} is not one this version reads.") from error
