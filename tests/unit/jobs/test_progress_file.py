"""The file in which one process says how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.jobs.progress_file import ProgressFile


def test_the_last_word_is_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "progress.json")
    progress.write({"done": 1})
    progress.write({"done": 2, "unit": "prompts"})
    assert progress.read() == {"done": 2, "unit": "prompts"}
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]
    progress.forget()
    assert progress.read() == {}


@pytest.mark.parametrize("damaged", [b"", b"{", b"[1]", b"\xff", b"[" * 200_000])
def test_what_cannot_be_read_is_no_progress_and_no_error(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "progress.json"
    path.write_bytes(damaged)
    assert ProgressFile(path).read() == {}


def test_a_number_that_is_none_is_refused_and_the_last_word_stays(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "progress.json")
    progress.write({"done": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        progress.write({"done": float("nan")})
    assert progress.read() == {"done": 1}
