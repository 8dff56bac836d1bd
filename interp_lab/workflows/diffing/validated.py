"""The units that an intervention report of the base validated. Torch-free, so plans use it too."""

from __future__ import annotations

import re

from interp_lab.contracts.diff_models import DiffModelsRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import read_run, same_words

_UNIT = re.compile(r"(\S+) #([0-9]{1,8})")


def validated_units(request: DiffModelsRequest, prompts_sha256: str, settings: Settings) -> tuple[tuple[str, int], ...]:
    """Return address and index of every unit that the report graded validated; none without a report.

    Raises:
        InvalidRequest: The report is of another model, criterion or seed or other prompts, or is no such report.
        UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
    """
    if request.report is None:
        return ()
    report = read_run(request.report, settings).report
    if not isinstance(report, InterveneReport):
        raise InvalidRequest(
            f"Artifact {request.report} is no report of intervene.", remedy="Give the artifact of intervene."
        )
    for name, there, here in (
        ("model", report.model.id, request.base.id),
        ("prompts", report.dataset.sha256, prompts_sha256),
        ("criterion", same_words(report.criterion), same_words(request.criterion)),
        ("seed", str(report.run.seed), str(request.seed)),
    ):
        if there != here:
            raise InvalidRequest(
                f"The {name} of intervention report {request.report} is not that of this diff.",
                remedy="Give the report of intervene on the base with the same criterion, prompts and seed.",
            )
    named = (_UNIT.fullmatch(unit.unit) for unit in report.units if unit.grade == "validated")
    return tuple((match[1], int(match[2])) for match in named if match)
