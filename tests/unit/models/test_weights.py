from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import CorruptWeights, InvalidModel, UnsafeWeights
from interp_lab.models import weights
from interp_lab.models.weights import check_safetensors, read_json, read_weights


def write(path: Path, header: Any, data: bytes, *, claimed: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if claimed is None else claimed).to_bytes(8, "little") + text + data)
    return path


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_an_honest_file_is_counted(tmp_path: Path) -> None:
    header = {"__metadata__": {"format": "pt"}, "a": entry(0, 24, [2, 3]), "b": entry(24, 28, [2], "F16")}
    assert check_safetensors(write(tmp_path / "model.safetensors", header, bytes(28))) == 8


def test_what_the_library_writes_is_honest(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros((3, 5), np.float32), "b": np.ones(7, np.int64)}, tmp_path / "x.safetensors")
    assert check_safetensors(tmp_path / "x.safetensors") == 22


LIES = {
    "a tensor that leaves the file": ({"a": entry(0, 4000, [1000])}, bytes(24)),
    "data that no tensor owns": ({"a": entry(0, 24, [2, 3])}, bytes(32)),
    "overlapping tensors": ({"a": entry(0, 24, [2, 3]), "b": entry(16, 24, [2])}, bytes(24)),
    "a gap between tensors": ({"a": entry(0, 8, [2]), "b": entry(16, 24, [2])}, bytes(24)),
    "a shape that does not fit": ({"a": entry(0, 24, [2, 4])}, bytes(24)),
    "a shape that overflows": ({"a": entry(0, 24, [2**40, 2**40])}, bytes(24)),
    "a negative size": ({"a": entry(0, 24, [-2, -3])}, bytes(24)),
    "a truth value for a size": ({"a": entry(0, 4, [True])}, bytes(4)),
    "an unknown dtype": ({"a": entry(0, 24, [2, 3], "PICKLE")}, bytes(24)),
    "offsets in reverse": ({"a": entry(24, 0, [2, 3])}, bytes(24)),
    "three offsets": ({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24, 24]}}, bytes(24)),
    "no offsets": ({"a": {"dtype": "F32", "shape": [6]}}, bytes(24)),
    "a number for a tensor": ({"a": 3}, b""),
    "a list for a header": ([], b""),
    "no JSON": (b"\x80\x04model", b""),
    "a name twice": (b'{"a":{},"a":{}}', b""),
    "endless nesting": (b"[" * 100_000, b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused(tmp_path: Path, lie: str) -> None:
    header, data = LIES[lie]
    with pytest.raises(CorruptWeights, match=r"model\.safetensors"):
        check_safetensors(write(tmp_path / "model.safetensors", header, data))


@pytest.mark.parametrize("claimed", [100, 2**63])
def test_a_header_longer_than_the_file_is_refused(tmp_path: Path, claimed: int) -> None:
    with pytest.raises(CorruptWeights, match="claims a header"):
        check_safetensors(write(tmp_path / "m.safetensors", {}, b"", claimed=claimed))


@pytest.mark.parametrize("content", [b"", b"1234567"])
def test_a_file_too_short_for_a_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(CorruptWeights):
        check_safetensors(tmp_path / "m.safetensors")


def test_limits_hold_before_anything_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m.safetensors", {"a": entry(0, 0, [0]), "b": entry(0, 0, [0])}, b"")
    assert check_safetensors(path) == 0
    monkeypatch.setattr(weights, "MAX_TENSORS", 1)
    with pytest.raises(CorruptWeights, match="limit is 1"):
        check_safetensors(path)
    monkeypatch.setattr(weights, "MAX_HEADER_BYTES", 16)
    with pytest.raises(CorruptWeights, match="claims a header"):
        check_safetensors(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_counted_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptWeights):
        check_safetensors(path)


def test_only_pickle_weights_are_refused_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (tmp_path / "pytorch_model.bin").chmod(0)
    with pytest.raises(UnsafeWeights, match=r"pytorch_model\.bin"):
        read_weights(tmp_path)


def test_pickle_weights_beside_safe_ones_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    write(tmp_path / "model.safetensors", {"a": entry(0, 8, [2])}, bytes(8))
    assert read_weights(tmp_path).files == ("model.safetensors",)


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"model\.safetensors"):
        read_weights(tmp_path)


def test_shards_are_found_through_their_index(tmp_path: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        write(tmp_path / name, {"a": entry(0, 8, [2])}, bytes(8))
    index = {"weight_map": {"x": "two.safetensors", "y": "one.safetensors", "z": "two.safetensors"}}
    (tmp_path / weights.INDEX).write_text(json.dumps(index), encoding="utf-8")
    found = read_weights(tmp_path)
    assert (found.files, found.n_parameters) == (("one.safetensors", "two.safetensors"), 4)
    assert found.n_bytes == sum((tmp_path / name).stat().st_size for name in found.files)


@pytest.mark.parametrize("name", ["../out.safetensors", "/etc/passwd", "missing.safetensors", "model.bin"])
def test_an_index_that_names_another_place_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / weights.INDEX).write_text(json.dumps({"weight_map": {"x": name}}), encoding="utf-8")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(CorruptWeights):
        read_weights(tmp_path)


def test_an_index_without_a_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / weights.INDEX).write_text("{}", encoding="utf-8")
    with pytest.raises(CorruptWeights, match="weight_map"):
        read_weights(tmp_path)


def test_an_absent_json_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"config\.json"):
        read_json(tmp_path / "config.json")
