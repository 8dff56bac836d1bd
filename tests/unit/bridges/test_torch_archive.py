"""State dicts in torch's file format are read without running anything, and anything else is refused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from interp_lab.bridges.torch_archive import read_state_dict
from interp_lab.errors import CorruptWeights, LabError, UnsafeWeights


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_saved_state_dict_is_read_bit_for_bit(tmp_path: Path, protocol: int) -> None:
    module = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7))
    state = dict(module.state_dict())
    state["transposed"] = torch.arange(12.0).reshape(3, 4).T
    state["slice"] = torch.arange(20, dtype=torch.int64)[3:15:2]
    state["half"] = torch.randn(4).half()
    state["brain"] = torch.randn(6).bfloat16()
    state["parameter"] = nn.Parameter(torch.randn(2, 3))
    torch.save(state, tmp_path / "ae.pt", pickle_protocol=protocol)
    found = read_state_dict(tmp_path / "ae.pt")
    assert set(found) == set(state)
    for name, value in state.items():
        wanted = value.detach().float().numpy() if value.dtype is torch.bfloat16 else value.detach().numpy()
        np.testing.assert_array_equal(found[name], wanted)


def test_the_ordered_dict_of_a_module_and_plain_numbers_are_read(tmp_path: Path) -> None:
    state = nn.Linear(2, 3).state_dict()
    state["k"] = 8
    torch.save(state, tmp_path / "ae.pt")
    found = read_state_dict(tmp_path / "ae.pt")
    assert int(found["k"]) == 8
    assert found["weight"].shape == (3, 2)


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self.path, "w"))


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"W": torch.zeros(2), "evil": _Evil(tmp_path / "ran")}, tmp_path / "ae.pt")
    (tmp_path / "ran").unlink(missing_ok=True)
    with pytest.raises(UnsafeWeights, match="no plain tensor needs"):
        read_state_dict(tmp_path / "ae.pt")
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "model.pt")
    with pytest.raises(UnsafeWeights):
        read_state_dict(tmp_path / "model.pt")


def test_a_truncated_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole, cut = tmp_path / "ae.pt", tmp_path / "cut.pt"
    torch.save({"W": torch.randn(64, 64), "b": torch.zeros(64)}, whole)
    data = whole.read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:length])
        with pytest.raises(LabError):
            read_state_dict(cut)


def test_a_flipped_byte_in_the_data_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ae.pt"
    torch.save({"W": torch.zeros(64, 64)}, path)
    data = bytearray(path.read_bytes())
    place = data.find(bytes(4096))
    data[place + 100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptWeights):
        read_state_dict(path)


def _numbers(*values: int) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _described(shape: bytes, strides: bytes, offset: bytes = b"K\x00") -> bytes:
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"K\x01tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89NtR"
    return b"\x80\x02}(" + _text("W") + tensor + b"u."


@pytest.mark.parametrize(
    "program",
    [
        _described(_numbers(2_000_000_000, 1), _numbers(0, 0)),
        _described(_numbers(*[1] * 70), _numbers(*[1] * 70)),
        _described(_numbers(1), _numbers(1), offset=b"G" + struct.pack(">d", float("inf"))),
        b"\x80\x02)(" + _text("W") + b"K\x01u.",
    ],
    ids=["one number repeated to gigabytes", "seventy dimensions", "an endless offset", "items of a tuple"],
)
def test_a_description_that_its_data_does_not_bear_out_is_refused(tmp_path: Path, program: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "ae.pt", "w") as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/data/0", bytes(4))
    with pytest.raises(CorruptWeights):
        read_state_dict(tmp_path / "ae.pt")


def test_a_compressed_archive_which_may_unpack_to_anything_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ae.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", _described(_numbers(1), _numbers(1)))
        archive.writestr("a/data/0", bytes(4))
    with pytest.raises(UnsafeWeights, match="compressed"):
        read_state_dict(tmp_path / "ae.pt")
