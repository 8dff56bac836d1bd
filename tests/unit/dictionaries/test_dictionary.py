"""A finished dictionary: what fires, what comes back, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.errors import InvalidDictionary

D, L = 6, 20
DRAW = torch.Generator().manual_seed(0)
W_ENC, W_DEC = torch.randn(D, L, generator=DRAW), torch.randn(L, D, generator=DRAW)
B_DEC, B_ENC = torch.randn(D, generator=DRAW), 0.1 * torch.randn(L, generator=DRAW)
X = torch.randn(9, D, generator=DRAW)


def _dictionary(
    architecture: ArchitectureName = "relu", changes: dict[str, Any] | None = None, **own: Any
) -> Dictionary:
    facts = {"architecture": architecture, "d_in": D, "d_out": D, "n_latents": L, **(changes or {})}
    tensors = {"W_enc": W_ENC, "W_dec": W_DEC, "b_dec": B_DEC, **({} if architecture == "gated" else {"b_enc": B_ENC})}
    return Dictionary(DictionaryConfig(**facts), **{**tensors, **own})


def _pre() -> Tensor:
    return (X - B_DEC) @ W_ENC + B_ENC


def test_relu_keeps_what_is_positive() -> None:
    torch.testing.assert_close(_dictionary().encode(X), _pre().relu())


def test_topk_keeps_the_k_largest_of_a_token() -> None:
    codes = _dictionary("topk", {"k": 3}).encode(X)
    assert (codes > 0).sum(1).tolist() == [3] * len(X)
    torch.testing.assert_close(codes.sum(1), _pre().topk(3).values.sum(1))


@pytest.mark.parametrize("architecture", ["jumprelu", "batchtopk", "matryoshka"])
def test_a_threshold_silences_what_is_below_it(architecture: ArchitectureName) -> None:
    threshold = torch.linspace(0.0, 2.0, L)
    codes = _dictionary(architecture, threshold=threshold).encode(X)
    torch.testing.assert_close(codes, torch.where(_pre() > threshold, _pre(), 0.0))
    assert 0 < int((codes > 0).sum()) < int((_pre() > 0).sum())


def test_a_gate_decides_what_fires_and_the_magnitude_how_strongly() -> None:
    gate, bias, scale = (0.3 * torch.randn(L, generator=DRAW) for _ in range(3))
    codes = _dictionary("gated", b_gate=gate, b_mag=bias, r_mag=scale).encode(X)
    raw = (X - B_DEC) @ W_ENC
    expected = torch.where(raw + gate > 0, (raw * scale.exp() + bias).relu(), 0.0)
    torch.testing.assert_close(codes, expected)


@pytest.mark.parametrize("normalize", ["none", "layer_norm", "expected_average_norm"])
@pytest.mark.parametrize("architecture", ["relu", "jumprelu", "batchtopk", "matryoshka", "gated", "topk"])
def test_some_latents_alone_have_the_codes_that_they_have_among_all(
    architecture: ArchitectureName, normalize: str
) -> None:
    draw = torch.Generator().manual_seed(5)
    names = {"gated": ("b_gate", "b_mag", "r_mag"), "relu": (), "topk": ()}.get(architecture, ("threshold",))
    own = {name: 0.3 * torch.randn(L, generator=draw) for name in names}
    changes = {"k": 3 if architecture == "topk" else None, "normalize": normalize}
    dictionary = _dictionary(architecture, changes | ({"scale": 1.7} if "norm" in normalize else {}), **own)
    some = [17, 2, 9, 2, 0]
    found = dictionary.encoder_of(some)(X)
    torch.testing.assert_close(found, dictionary.encode(X)[:, some])
    assert bool(found.any())
    assert not torch.allclose(found, dictionary.encode(X)[:, [3, 4, 5, 6, 7]])


def test_sparse_codes_are_the_dense_ones_and_decode_alike() -> None:
    dictionary = _dictionary("topk", {"k": 4})
    dense, sparse = dictionary.encode(X), dictionary.encode_sparse(X)
    rows = torch.repeat_interleave(torch.arange(len(X)), sparse.indptr.diff())
    rebuilt = torch.zeros_like(dense)
    rebuilt[rows, sparse.latents.long()] = sparse.values
    torch.testing.assert_close(rebuilt, dense)
    torch.testing.assert_close(dictionary.decode_sparse(sparse), dictionary.decode(dense))
    torch.testing.assert_close(dictionary.reconstruct(X), dictionary.decode(dense))


def test_a_skip_connection_is_part_of_the_reconstruction_but_not_of_decoding() -> None:
    skip = torch.randn(4, D, generator=DRAW)
    facts = {"kind": "transcoder", "d_out": 4, "skip": True, "apply_b_dec_to_input": False}
    dictionary = _dictionary("relu", facts, W_dec=W_DEC[:, :4], b_dec=B_DEC[:4], W_skip=skip)
    codes = (X @ W_ENC + B_ENC).relu()
    torch.testing.assert_close(dictionary.decode(dictionary.encode(X)), codes @ W_DEC[:, :4] + B_DEC[:4])
    torch.testing.assert_close(dictionary.reconstruct(X), codes @ W_DEC[:, :4] + B_DEC[:4] + X @ skip.T)


def test_normalised_input_comes_back_in_its_own_units() -> None:
    scaled = _dictionary("relu", {"normalize": "expected_average_norm", "scale": 2.0})
    torch.testing.assert_close(scaled.reconstruct(X), _dictionary().reconstruct(2.0 * X) / 2.0)
    layered = _dictionary("relu", {"normalize": "layer_norm"})
    torch.testing.assert_close(
        layered.reconstruct(3.0 * X + 5.0), 3.0 * layered.reconstruct(X) + 5.0, rtol=1e-3, atol=1e-3
    )


def test_no_tokens_give_no_codes() -> None:
    dictionary = _dictionary()
    assert dictionary.encode_sparse(X[:0]).indptr.tolist() == [0]
    assert dictionary.reconstruct(X[:0]).shape == (0, D)


@pytest.mark.parametrize(
    ("architecture", "own"),
    [("jumprelu", {}), ("gated", {}), ("topk", {}), ("relu", {"b_enc": None}), ("relu", {"W_dec": W_DEC.T})],
)
def test_weights_that_do_not_fit_the_rule_are_refused(architecture: ArchitectureName, own: dict[str, Any]) -> None:
    with pytest.raises(InvalidDictionary):
        _dictionary(architecture, **own)


@pytest.mark.parametrize(
    "wrong",
    [
        {"d_out": 5},
        {"skip": True},
        {"kind": "transcoder"},
        {"kind": "crosscoder"},
        {"kind": "crosscoder", "sections": (2, 3)},
        {"architecture": "topk", "k": 2.5},
        {"k": L + 1},
        {"group_sizes": (10, 10)},
        {"architecture": "matryoshka", "k": 2, "group_sizes": (4, 4)},
    ],
)
def test_configurations_that_contradict_themselves_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        DictionaryConfig(**{"d_in": D, "d_out": D, "n_latents": L, **wrong})
