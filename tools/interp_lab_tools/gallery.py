"""gallery: one page that leads to every page of the workspace."""

from __future__ import annotations

from collections import Counter

from interp_lab.contracts.gallery import GALLERY_KIND, GalleryRequest, GalleryResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import artifact_ref

PAGE = "gallery.html"


def _handle(request: GalleryRequest, lab: Lab) -> GalleryResult:
    from interp_lab.reports.gallery import render_gallery  # lazy: templates, only when asked
    from interp_lab.workflows.gallery import gallery_tiles  # lazy: comes with it

    tiles = gallery_tiles(request, lab.settings)
    shown = tiles[: request.limit]
    left_out = len(tiles) - len(shown)
    origin = inline_origin("gallery", request, {f"page {n}": tile.artifact for n, tile in enumerate(shown)})
    with lab.engine.inline.artifact(GALLERY_KIND, f"Gallery of {len(shown)} pages", origin) as writer:
        writer.write_text(PAGE, render_gallery(shown, n_left_out=left_out))
    reference = artifact_ref(lab, writer.manifest)
    path = f"{reference.path}/{PAGE}"
    return GalleryResult(
        summary=f"{path} leads to {len(shown)} pages of this workspace; open it in a browser on this machine.",
        warnings=(f"{left_out} older pages are left out; raise limit.",) if left_out else (),
        artifacts=(reference,),
        n_pages=len(shown),
        n_left_out=left_out,
        kinds=dict(Counter(tile.kind for tile in shown)),
        path=path,
    )


GALLERY = InlineCapability(
    name="gallery",
    title="Make a page that leads to every report",
    guidance=(
        "For people: writes one HTML page with a tile for every page of the workspace (inspect and intervention "
        "reports, dossiers, evaluations, trainings, feature cards, figures), the latest first, with headline, grades "
        "and a small drawing; it can be filtered, printed and read offline. Links are relative, ids stand beside them. "
        "Call it again after new runs. For agents: dossier and artifact_list say the same in fewer words."
    ),
    request=GalleryRequest,
    result=GalleryResult,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="ops",
    changes="No grade; it writes one page that leads to every report.",
    example={"kinds": ["inspect_report", "intervention_report"]},
)
