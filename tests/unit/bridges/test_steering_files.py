"""Steering files of other tools: what is written is read back, what is broken is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from interp_lab.bridges.gguf_control_vector import read_control_vector, write_control_vector
from interp_lab.bridges.peer_steering import feature_id, read_peer_vector
from interp_lab.errors import InvalidRequest, MalformedFile
from interp_lab.methods.contrast_direction import contrastive_pca, difference_of_means


def test_a_control_vector_comes_back_bit_for_bit(tmp_path: Path) -> None:
    vectors = {layer: np.random.default_rng(layer).normal(size=8).astype(np.float32) for layer in (1, 3)}
    path = tmp_path / "v.gguf"
    write_control_vector(path, vectors, model_type="llama", facts={"grade": "weak"})
    found = read_control_vector(path)
    assert found.keys() == vectors.keys()
    for layer, vector in vectors.items():
        np.testing.assert_array_equal(found[layer], vector)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all, just text" * 20])
def test_a_file_that_is_no_gguf_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(MalformedFile, match=r"broken\.gguf"):
        read_control_vector(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"schema_version": "other"},
        {"layer": 0},
        {"direction": {"kind": "hidden_dim", "index": 3, "dim": None}},
        {"direction": {"kind": "vector", "values": [1.0, "x"], "dim": 2}},
    ],
)
def test_a_peer_vector_that_cannot_be_used_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    whole = {
        "schema_version": "interp-lab.steering_vector.v1",
        "layer": 3,
        "direction": {"kind": "vector", "values": [1.0, 2.0], "dim": 2},
        "feature_id": "SAE:L3:F1",
    }
    path = tmp_path / "vector.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert read_peer_vector(path).block == 2
    path.write_text(json.dumps(whole | changed), encoding="utf-8")
    with pytest.raises(MalformedFile):
        read_peer_vector(path)


def test_the_name_of_a_contrast_direction_counts_hidden_states() -> None:
    assert feature_id(4, "The next token: a unit!") == "direction:contrast:L5:the-next-token-a-unit"


def test_pca_of_pairs_finds_what_they_agree_in_and_points_to_the_positives() -> None:
    rng = np.random.default_rng(0)
    off = rng.normal(size=(40, 6))
    on = off + np.array([0, 0, 3.0, 0, 0, 0]) + 0.2 * rng.normal(size=(40, 6))
    found = contrastive_pca(on, off)
    assert found[2] > 0.99
    np.testing.assert_allclose(contrastive_pca(off, on), -found, atol=1e-12)
    with pytest.raises(InvalidRequest):
        contrastive_pca(on[:1], off[:1])


def test_difference_of_means_is_the_difference_of_means() -> None:
    values = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(difference_of_means(values, [True, True, False]), [2.0, -4.0])
