"""Answers of a module in a process of its own: what it prints, or nothing."""

from __future__ import annotations

from pathlib import Path

from interp_lab.jobs.probing import answer_of
from interp_lab.settings import Settings


def test_the_answer_is_what_the_module_prints(tmp_path: Path) -> None:
    answer = answer_of("json.tool", b'{"a":1}', Settings(workspace=tmp_path), within_s=900)
    assert answer is not None
    assert answer.split() == [b"{", b'"a":', b"1", b"}"]


def test_a_module_that_fails_is_missing_or_takes_too_long_has_no_answer(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path)
    assert answer_of("json.tool", b"{", settings, within_s=900) is None
    assert answer_of("no.such_module", b"", settings, within_s=900) is None
    assert answer_of("json.tool", b"{}", settings, within_s=1e-6) is None
