"""Reading in pages: what an agent puts together from them is the whole text, whatever has to be escaped in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.artifacts.writer import ArtifactWriter, Origin, Sealed
from interp_lab.errors import FileTooLarge, PointerNotFound
from interp_lab.settings import Settings
from interp_lab_server.answers import answer_result
from interp_lab_server.sanitize import clean, compact
from interp_lab_tools import artifact_read
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.job_logs import _fitting
from interp_lab_tools.lab import Lab
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.pages import fitting

QUOTED = '{"say": "a \\"quoted\\" word\\n"}\x1b\U000e0041 é 語\n' * 1500


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path)) as opened:
        yield opened


def publish(lab: Lab, files: Mapping[str, str]) -> str:
    sealed: list[Sealed] = []
    origin = Origin(job=None, attempt=0, started=datetime.now(UTC))
    folder = lab.engine.paths.root / "tmp" / "made-here"
    with ArtifactWriter(folder, "note", "A note", origin=lambda: origin, on_seal=sealed.append) as writer:
        for name, text in files.items():
            writer.write_text(name, text)
    with lab.engine.artifacts.publishing():
        lab.engine.artifacts.publish(sealed)
    return writer.id


def read(lab: Lab, artifact_id: str, **more: Any) -> dict[str, Any]:
    """What reaches the agent, after the server has cut what is too long."""
    answer = dispatch(lab, "artifact_read", {"artifact_id": artifact_id, "name": "note.txt", **more})
    return dict(answer_result(answer).structured_content or {})  # type: ignore[arg-type]


def test_the_pages_of_a_file_put_together_are_the_file(lab: Lab) -> None:
    artifact_id = publish(lab, {"note.txt": QUOTED})
    pages, offset = [], 0
    while offset is not None:
        page = read(lab, artifact_id, offset=offset, max_chars=18_000)
        assert page["warnings"] == []
        assert len(compact(page)) <= ANSWER_CHARS
        pages.append(page["text"])
        offset = page.get("next_offset")
    assert len(pages) > 2
    assert "".join(pages) == clean(QUOTED)


def test_a_pointer_into_a_file_that_is_not_json_is_refused(lab: Lab) -> None:
    artifact_id = publish(lab, {"note.txt": "# not JSON"})
    with pytest.raises(PointerNotFound, match="not a JSON file"):
        read(lab, artifact_id, pointer="/a")


def test_a_file_too_large_to_be_read_is_refused_not_cut(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact_id = publish(lab, {"note.txt": "0123456789"})
    monkeypatch.setattr(artifact_read, "_MAX_BYTES", 9)
    with pytest.raises(FileTooLarge):
        read(lab, artifact_id)


@given(st.text(), st.integers(1, 300))
def test_what_fits_takes_no_more_room_than_there_is(text: str, limit: int) -> None:
    n = fitting(text, limit)
    part = text[:n]
    assert n >= min(1, len(text))
    assert n <= 1 or len(compact(clean(part))) - 2 <= limit


@pytest.mark.parametrize("from_end", [True, False])
def test_a_log_full_of_escapes_gives_fewer_bytes_at_offsets_that_stay_true(from_end: bool) -> None:
    whole = b"\x1b[2K\r" * 3200
    start, data = _fitting(7, whole, from_end=from_end)
    assert 0 < len(data) < len(whole)
    assert whole[start - 7 : start - 7 + len(data)] == data
    assert (start + len(data) == 7 + len(whole)) is from_end
    assert len(compact(clean(data.decode()))) < ANSWER_CHARS
