"""A log is read by positions that stay true, whatever is dropped from its middle."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp_lab.jobs.joblog import cap_log, read_log

CAP = 400


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    page = read_log(tmp_path / "log.txt", offset=None, max_bytes=10)
    assert (page.data, page.offset, page.next_offset, page.total) == (b"", 0, 0, 0)


def test_no_offset_means_the_end(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"0123456789")
    page = read_log(tmp_path / "log.txt", offset=None, max_bytes=4)
    assert (page.data, page.offset, page.next_offset, page.total) == (b"6789", 6, 10, 10)


def test_an_offset_beyond_the_end_gives_the_end(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"0123456789")
    page = read_log(tmp_path / "log.txt", offset=10**12, max_bytes=4)
    assert (page.data, page.offset, page.next_offset) == (b"", 10, 10)


def test_text_that_is_not_utf_8_shows_replacements(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"ok \xff")
    assert read_log(tmp_path / "log.txt", offset=0, max_bytes=99).text == "ok \ufffd"


def test_a_log_under_its_cap_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(bytes(CAP))
    assert not cap_log(tmp_path / "log.txt", CAP)
    assert not cap_log(tmp_path / "none.txt", CAP)


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.integers(1, 150))
def test_every_byte_read_is_the_one_written_at_that_position(tmp_path: Path, sizes: list[int], page_size: int) -> None:
    log = tmp_path / "log.txt"
    for old in tmp_path.iterdir():
        old.unlink()
    written = b""
    for number, size in enumerate(sizes):
        chunk = bytes((number * 31 + i) % 251 for i in range(size))
        written += chunk
        with log.open("ab") as file:
            file.write(chunk)
        cap_log(log, CAP)
        assert log.stat().st_size <= CAP

    position = read = 0
    while True:
        page = read_log(log, offset=position, max_bytes=page_size)
        if not page.data:
            break
        assert page.offset >= position
        assert page.data == written[page.offset : page.offset + len(page.data)]
        assert page.next_offset > position
        read += len(page.data)
        position = page.next_offset
    assert page.total == len(written)
    assert read == len(written) - page.dropped
    kept = min(len(written), CAP // 4)
    tail = read_log(log, offset=None, max_bytes=kept)
    assert tail.data == written[-kept:]
