"""A tensor read a part at a time is the tensor that the library reads whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interp_lab.artifacts import mapped_matrix
from interp_lab.artifacts.mapped_matrix import map_matrices
from interp_lab.errors import CorruptWeights, MalformedFile

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_columns_chunks_and_products_are_those_of_the_whole(
    dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_matrix, "CHUNK_VALUES", 20)
    whole = torch.randn(13, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"a": torch.zeros(3, dtype=torch.uint8), "w": whole, "b": whole[0].clone()}, tmp_path / "x.safetensors")
    found = map_matrices(tmp_path / "x.safetensors")
    wanted = whole.float().numpy()
    assert set(found) == {"w", "b"}
    np.testing.assert_array_equal(found["w"].read(), wanted)
    np.testing.assert_array_equal(found["w"].read(4), wanted[4])
    np.testing.assert_array_equal(found["w"].read(slice(None), 5), wanted[:, 5])
    assert float(found["b"].read(2)) == wanted[0, 2]
    starts, parts = zip(*found["w"].chunks(), strict=True)
    assert len(starts) > 3
    np.testing.assert_array_equal(np.concatenate(parts), wanted)
    vector = np.arange(7, dtype=np.float32)
    np.testing.assert_allclose(found["w"].times(vector), wanted @ vector, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptWeights):
        map_matrices(tmp_path / "absent.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(MalformedFile):
        map_matrices(tmp_path / "cut.safetensors")
