"""Explanations of the workspace, read from the artifacts that hold them."""

from __future__ import annotations

from collections.abc import Iterator

from interp_lab.contracts.explain import EXPLANATION_KIND, EXPLANATIONS_FILE, ExplanationRecord
from interp_lab.workflows.explaining.records import read_records
from interp_lab_tools.lab import Lab

_PAGE = 100
_MAX_BYTES = 256 * 2**20


def known_explanations(lab: Lab) -> Iterator[ExplanationRecord]:
    """Yield every explanation that is kept, newest first."""
    cursor: str | None = None
    while True:
        page = lab.engine.list_artifacts(kind=EXPLANATION_KIND, limit=_PAGE, cursor=cursor)
        for manifest in page.items:
            yield from read_records(lab.engine.artifacts.read_file(manifest.id, EXPLANATIONS_FILE, limit=_MAX_BYTES))
        cursor = page.next_cursor
        if cursor is None:
            return
