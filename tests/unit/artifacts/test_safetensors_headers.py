"""Safetensors headers are believed only after a look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp_lab.artifacts.tensor_header import MAX_HEADER_BYTES, check_safetensors_header
from interp_lab.errors import FileTooLarge, MalformedFile


def write(path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(raw) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + raw + data)
    return path


def tensor(shape: list[Any], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_sound_header_is_returned_in_the_order_of_the_data(tmp_path: Path) -> None:
    header = {"__metadata__": {"x": "y"}, "b": tensor([2], 4, 12), "a": tensor([2], 0, 4, "BF16")}
    entries = check_safetensors_header(write(tmp_path / "x", header, bytes(12)))
    assert [(e.name, e.dtype, e.shape, e.start, e.end) for e in entries] == [
        ("a", "BF16", (2,), 0, 4),
        ("b", "F32", (2,), 4, 12),
    ]


def test_a_file_that_the_library_wrote_is_accepted(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    library = pytest.importorskip("safetensors.numpy")
    arrays = {"w": numpy.ones((3, 4), "float32"), "i": numpy.arange(5), "e": numpy.zeros((0, 7), "float16")}
    library.save_file(arrays, tmp_path / "x.safetensors")
    entries = check_safetensors_header(tmp_path / "x.safetensors")
    assert {e.name: e.shape for e in entries} == {"w": (3, 4), "i": (5,), "e": (0, 7)}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        {"a": 1},
        {"a": tensor([1], 0, 8)},
        {"a": tensor([2**62, 2**62], 0, 4)},
        {"a": tensor([-1], 0, 4)},
        {"a": tensor([True], 0, 4)},
        {"a": tensor([1.0], 0, 4)},
        {"a": tensor([1], 4, 8)},
        {"a": tensor([1], 4, 0)},
        {"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)},
        {"a": tensor([1], 0, 4), "b": tensor([1], 2, 6)},
        {"a": tensor([1], 0, 4, "PICKLE")},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": tensor([1], 0, 4), "b": tensor([1], 4, 8)},
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": 1}',
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(MalformedFile):
        check_safetensors_header(write(tmp_path / "x", header, bytes(4)))


@pytest.mark.parametrize("length", [2**63, 200_000_000, 3])
def test_a_length_that_lies_is_refused_without_reading_that_much(tmp_path: Path, length: int) -> None:
    with pytest.raises(MalformedFile):
        check_safetensors_header(write(tmp_path / "x", {"a": tensor([1], 0, 4)}, bytes(4), length=length))


def test_a_huge_header_and_a_flood_of_tensors_are_refused(tmp_path: Path) -> None:
    padded = b"{}" + b" " * MAX_HEADER_BYTES
    with pytest.raises(FileTooLarge, match="header"):
        check_safetensors_header(write(tmp_path / "x", padded))
    flood = {str(number): tensor([0], 0, 0) for number in range(10_001)}
    with pytest.raises(FileTooLarge, match="10001 tensors"):
        check_safetensors_header(write(tmp_path / "x", flood))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_are_sound_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    try:
        entries = check_safetensors_header(path)
    except (MalformedFile, FileTooLarge):
        return
    assert all(entry.end <= len(data) for entry in entries)
