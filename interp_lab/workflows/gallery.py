"""The pages of a workspace, latest first, with what each found. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import get_args

from pydantic import JsonValue

from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.reading import parse_json
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.base import Grade
from interp_lab.contracts.gallery import GALLERY_KIND, GalleryRequest, GalleryTile
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.workflows.gallery_drawings import RECORDS, Drawn, drawn_of
from interp_lab.workflows.memory.history import PastRun, read_history
from interp_lab.workflows.memory.observations import clearest

_MOST_VALUES = 60
_MAX_BYTES = 8 * 2**20
_GRADES = get_args(Grade)


def gallery_tiles(request: GalleryRequest, settings: Settings) -> tuple[GalleryTile, ...]:
    """Return a tile for every artifact with an HTML page, latest first; galleries themselves are left out."""
    history = read_history(settings)
    tiles = [_of_run(run) for run in history.runs]
    artifacts = ArtifactStore(WorkspacePaths.of(settings))
    tiles += [
        _of_manifest(manifest).model_copy(update=_told(manifest, artifacts))
        for manifest in history.others
        if _page(manifest) is not None
    ]
    wanted = [
        tile
        for tile in tiles
        if tile.page and tile.kind != GALLERY_KIND and (not request.kinds or tile.kind in request.kinds)
    ]
    return tuple(sorted(wanted, key=lambda tile: (tile.at, tile.artifact), reverse=True))


def _page(manifest: Manifest) -> str | None:
    """Return the file that is the page: the report where there is one, else the first."""
    pages = sorted(entry.name for entry in manifest.files if entry.name.endswith(".html"))
    return next((name for name in pages if name == "report.html"), pages[0] if pages else None)


def _told(manifest: Manifest, artifacts: ArtifactStore) -> dict[str, object]:
    """Return the sentence and the grades that a report of another kind states of itself, where it does."""
    names = {entry.name for entry in manifest.files}
    record = next((name for name in RECORDS if name in names), None)
    if record is None:
        return {}
    try:
        report = parse_json(artifacts.read_file(manifest.id, record, limit=_MAX_BYTES), where=record)
    except LabError:
        return {}  # damaged or larger than a page needs: the tile stays, artifact_verify tells the rest
    if not isinstance(report, dict):
        return {}
    return {"headline": _headline(report), "grades": _grades(report), **_drawing(drawn_of(manifest.kind, report))}


def _headline(report: Mapping[str, JsonValue]) -> str:
    """Return the sentence that a record says of itself, or the first line of its answer."""
    for told in (report.get("headline"), report.get("summary")):
        if isinstance(told, str) and told:
            return told.partition("\n")[0]
    return ""


def _drawing(drawn: Drawn | None) -> dict[str, object]:
    if drawn is None:
        return {}
    return {"values": drawn.values[:_MOST_VALUES], "drawing": drawn.drawing, "drawn": drawn.words}


def _grades(report: Mapping[str, JsonValue]) -> dict[str, int]:
    """Count the grade of the report itself, else those of the rows of its tables."""
    rows = [row for table in report.values() if isinstance(table, list) for row in table]
    said = [report.get("grade")] + [row.get("grade") for row in rows if isinstance(row, dict)]
    known = [grade for grade in said if grade in _GRADES]
    return dict(Counter(str(grade) for grade in (known[:1] if report.get("grade") in _GRADES else known)))


def _of_manifest(manifest: Manifest) -> GalleryTile:
    request = manifest.spec.get("request")
    model = request.get("model") if isinstance(request, dict) else None
    if isinstance(model, dict):
        model = model.get("id")
    return GalleryTile(
        artifact=manifest.id,
        kind=manifest.kind,
        title=manifest.title,
        headline="",
        at=manifest.ended,
        investigator=str(manifest.spec.get("investigator", ""))[:60],
        model=model if isinstance(model, str) else "",
        page=_page(manifest) or "",
        grades={},
        flagged=False,
    )


def _of_run(run: PastRun) -> GalleryTile:
    report = run.report
    inspected = isinstance(report, InspectReport)
    cards = report.coordinates if isinstance(report, InspectReport) else report.units
    return _of_manifest(run.manifest).model_copy(
        update={
            "title": report.criterion,
            "headline": report.headline,
            "model": report.model.id,
            "grades": dict(Counter(card.grade for card in cards)),
            "flagged": report.audit.flagged if isinstance(report, InspectReport) else bool(report.behaviour.flags),
            "values": _values(run)[:_MOST_VALUES],
            "drawing": "profile" if inspected else "effects",
            "drawn": "best AUROC by address, 0.5 to 1" if inspected else "clearest effect by unit",
        }
    )


def _values(run: PastRun) -> tuple[float, ...]:
    report = run.report
    if isinstance(report, InspectReport):
        return tuple(row.best_auroc for row in report.layers)
    edits = [clearest(card) for card in report.units]
    return tuple((edit.confirm or edit.explore).effect for edit in edits)
