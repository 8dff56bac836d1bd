"""export_report: one of our inspect reports as a report.json that the interp-lab package of PyPI reads."""

from __future__ import annotations

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.peer_file import ReportExportRequest, ReportExportResult
from interp_lab.errors import InvalidRequest
from interp_lab.store.interchange.peer_report import LEFT_OUT, peer_report
from interp_lab.workflows.memory.history import read_run
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import artifact_ref

FILE, KIND = "report.json", "exported_report"


def _handle(request: ReportExportRequest, lab: Lab) -> ReportExportResult:
    report = read_run(request.report, lab.settings).report
    if not isinstance(report, InspectReport):
        raise InvalidRequest(
            f"Artifact {request.report} is a report of intervene.",
            remedy="Give inspect that report as interventions, and export the report that it makes.",
        )
    origin = inline_origin("export_report", request, {"report": request.report})
    with lab.engine.inline.artifact(KIND, f"{report.criterion[:100]} for interp-lab 3", origin) as writer:
        writer.write_json(FILE, peer_report(report))
    reference = artifact_ref(lab, writer.manifest)
    path = f"{reference.path}/{FILE}"
    return ReportExportResult(
        summary=f"{path} has {len(report.coordinates)} cards in the form of interp-lab 3, whose grades are its own.",
        warnings=("That format has no split, no q and no controls: what it makes of the numbers is not ours.",),
        artifacts=(reference,),
        path=path,
        agent_next_actions=(
            NextAction(
                tool="read_peer_file",
                arguments={"path": f"{reference.id}/{FILE}"},
                why="See the file as that package reads it.",
            ),
        ),
        n_cards=len(report.coordinates),
        left_out=LEFT_OUT,
    )


EXPORT_REPORT = InlineCapability(
    name="export_report",
    title="Export an inspect report for the interp-lab package of PyPI",
    guidance=(
        "Writes the report of an inspect run as a report.json that interp-lab 3 loads, matches and compares. "
        "Interventions stand in it only where they count here, as plain numbers. What the format has no place for is "
        "listed. For people and for our own calls use the report of the artifact itself."
    ),
    request=ReportExportRequest,
    result=ReportExportResult,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="evidence",
    changes="No grade; it writes a copy for the other package.",
    example={"report": "0" * 64},
)
