"""Dictionaries of other projects are read from their own files and compute what those projects define."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from interp_lab.bridges.dictionary_formats import format_of, read_foreign
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import from_parts
from interp_lab.errors import InvalidDictionary, LabError, UnsupportedDictionary

D, N, K = 6, 20, 3
_RNG = np.random.default_rng(0)
X = _RNG.standard_normal((40, D)).astype(np.float32)


def _array(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(shape[0] + 7 * len(shape)).standard_normal(shape).astype(np.float32)


def _topk(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    kept = np.maximum(values, 0)
    kept[kept < np.sort(kept, axis=1)[:, -K][:, None]] = 0
    return kept


def _read(folder: Path, name: str) -> Dictionary:
    assert format_of(folder) == name
    return from_parts(read_foreign(folder, name))


def _same(dictionary: Dictionary, codes: np.ndarray[Any, Any], made: np.ndarray[Any, Any]) -> None:
    assert (codes > 0).sum() > 40
    x = torch.from_numpy(X)
    np.testing.assert_allclose(dictionary.encode(x).numpy(), codes, atol=2e-6)
    np.testing.assert_allclose(dictionary.reconstruct(x).numpy(), made, atol=1e-5)


def _sparsify(folder: Path, **changes: Any) -> dict[str, np.ndarray[Any, Any]]:
    folder.mkdir(parents=True)
    cfg = {"k": K, "d_in": D, "num_latents": 0, "expansion_factor": 3, "activation": "topk", "transcode": False}
    (folder / "cfg.json").write_text(json.dumps(cfg | changes))
    tensors = {"encoder.weight": _array(N, D), "encoder.bias": _array(N), "W_dec": _array(N, D), "b_dec": _array(D)}
    if changes.get("skip_connection"):
        tensors["W_skip"] = np.random.default_rng(9).standard_normal((D, D)).astype(np.float32)
    save_file(tensors, folder / "sae.safetensors")
    return tensors


def test_sparsify_computes_as_sparsify_defines(tmp_path: Path) -> None:
    t = _sparsify(tmp_path / "layers.3")
    made = _read(tmp_path / "layers.3", "sparsify")
    codes = _topk((X - t["b_dec"]) @ t["encoder.weight"].T + t["encoder.bias"])
    _same(made, codes, codes @ t["W_dec"] + t["b_dec"])
    assert made.config.addresses_in == ("resid_post.3",)
    assert made.config.provenance == "imported"


def test_a_skip_transcoder_of_sparsify_reads_the_mlp_and_adds_its_linear_map(tmp_path: Path) -> None:
    t = _sparsify(tmp_path / "h.2.mlp", transcode=True, skip_connection=True)
    made = _read(tmp_path / "h.2.mlp", "sparsify")
    codes = _topk(X @ t["encoder.weight"].T + t["encoder.bias"])
    _same(made, codes, codes @ t["W_dec"] + t["b_dec"] + X @ t["W_skip"].T)
    assert (made.config.addresses_in, made.config.addresses_out) == (("mlp_in.2",), ("mlp_out.2",))


def test_another_activation_of_sparsify_is_refused(tmp_path: Path) -> None:
    _sparsify(tmp_path / "layers.0", activation="groupmax")
    with pytest.raises(UnsupportedDictionary, match="groupmax"):
        read_foreign(tmp_path / "layers.0", "sparsify")


def _learned(folder: Path, name: str, tensors: dict[str, Any], **facts: Any) -> Path:
    trainer = {"dict_class": name, "activation_dim": D, "dict_size": N, "layer": 4, "lm_name": "gpt2"}
    trainer |= {"submodule_name": "resid_post_layer_4", **facts}
    (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}}))
    torch.save({key: torch.as_tensor(value) for key, value in tensors.items()}, folder / "ae.pt")
    return folder


def _encoder(bias: str) -> dict[str, np.ndarray[Any, Any]]:
    return {"encoder.weight": _array(N, D), "decoder.weight": _array(D, N), "encoder.bias": _array(N), bias: _array(D)}


def test_autoencoders_of_dictionary_learning_compute_as_defined(tmp_path: Path) -> None:
    t = _encoder("bias")
    made = _read(_learned(tmp_path, "AutoEncoder", t), "dictionary_learning")
    codes = np.maximum((X - t["bias"]) @ t["encoder.weight"].T + t["encoder.bias"], 0)
    _same(made, codes, codes @ t["decoder.weight"].T + t["bias"])
    assert (made.config.addresses_in, made.config.models) == (("resid_post.4",), ("gpt2",))


def test_batch_top_k_of_dictionary_learning_becomes_a_threshold(tmp_path: Path) -> None:
    t = _encoder("b_dec")
    state = t | {"threshold": np.float32(0.8), "k": np.int64(K)}
    made = _read(_learned(tmp_path, "BatchTopKSAE", state), "dictionary_learning")
    pre = np.maximum((X - t["b_dec"]) @ t["encoder.weight"].T + t["encoder.bias"], 0)
    codes = pre * (pre > 0.8)
    _same(made, codes, codes @ t["decoder.weight"].T + t["b_dec"])


def test_gated_of_dictionary_learning_computes_as_defined(tmp_path: Path) -> None:
    t = {key: value for key, value in _encoder("decoder_bias").items() if key != "encoder.bias"}
    rng = np.random.default_rng(5)
    t |= {name: rng.standard_normal(N).astype(np.float32) / 2 for name in ("r_mag", "gate_bias", "mag_bias")}
    made = _read(_learned(tmp_path, "GatedAutoEncoder", t), "dictionary_learning")
    x = (X - t["decoder_bias"]) @ t["encoder.weight"].T
    codes = (x + t["gate_bias"] > 0) * np.maximum(np.exp(t["r_mag"]) * x + t["mag_bias"], 0)
    _same(made, codes, codes @ t["decoder.weight"].T + t["decoder_bias"])


def test_a_batch_top_k_without_a_threshold_yet_is_refused(tmp_path: Path) -> None:
    state = _encoder("b_dec") | {"threshold": np.float32(-1.0), "k": np.int64(K)}
    with pytest.raises(InvalidDictionary, match="before it was trained"):
        read_foreign(_learned(tmp_path, "BatchTopKSAE", state), "dictionary_learning")


def _scope() -> dict[str, np.ndarray[Any, Any]]:
    return {
        "W_enc": _array(D, N), "W_dec": _array(N, D), "b_enc": _array(N), "b_dec": _array(D),
        "threshold": np.abs(_array(N)) / 3,
    }  # fmt: skip


def test_gemma_scope_is_read_with_the_place_that_its_path_implies(tmp_path: Path) -> None:
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_82"
    folder.mkdir(parents=True)
    t = _scope()
    np.savez(folder / "params.npz", **t)  # pyright: ignore[reportArgumentType]
    made = _read(folder, "gemma_scope")
    pre = np.maximum(X @ t["W_enc"] + t["b_enc"], 0)
    codes = pre * (pre > t["threshold"])
    _same(made, codes, codes @ t["W_dec"] + t["b_dec"])
    assert made.config.addresses_in == ("resid_post.12",)


def test_the_second_gemma_scope_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "resid_post" / "layer_7_width_16k_l0_medium"
    folder.mkdir(parents=True)
    t = _scope()
    save_file({name.replace("W_", "w_"): value for name, value in t.items()}, folder / "params.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "jump_relu", "model_name": "gemma-3-270m"}))
    made = _read(folder, "gemma_scope_2")
    pre = np.maximum(X @ t["W_enc"] + t["b_enc"], 0)
    codes = pre * (pre > t["threshold"])
    _same(made, codes, codes @ t["W_dec"] + t["b_dec"])
    assert made.config.addresses_in == ("resid_post.7",)


@pytest.mark.parametrize(("sparsity", "k"), [("relu-l1", None), ("topk", K), ("jumprelu", None)])
def test_the_json_of_interp_lab_sae_v1_is_read(tmp_path: Path, sparsity: str, k: int | None) -> None:
    encoder, bias, decoder, mean = _array(N, D), _array(N), _array(N, D), _array(D)
    sae = {
        "format": "interp-lab.sae.v1", "model": "gpt2", "layer": 3, "input_dim": D, "latent_dim": N,
        "mean": mean.tolist(), "encoder_weight": encoder.tolist(), "encoder_bias": bias.tolist(),
        "decoder_weight": decoder.tolist(), "method": "torch",
        "config": {"sparsity": sparsity, "top_k": k, "jump_threshold": 0.4, "seed": 2},
    }  # fmt: skip
    (tmp_path / "sae.json").write_text(json.dumps(sae))
    made = _read(tmp_path, "interp_lab_sae_v1")
    pre = (X - mean) @ encoder.T + bias
    codes = {"relu-l1": np.maximum(pre, 0), "topk": _topk(pre), "jumprelu": pre * (pre > 0.4)}[sparsity]
    _same(made, codes, codes @ decoder + mean)
    assert made.config.addresses_in == ("resid_post.2",)
    assert read_foreign(tmp_path, "interp_lab_sae_v1").notes


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_truncated_files_of_every_format_are_refused(tmp_path: Path, share: float) -> None:
    _sparsify(tmp_path / "layers.1")
    (tmp_path / "learned").mkdir()
    _learned(tmp_path / "learned", "AutoEncoder", _encoder("bias"))
    (tmp_path / "scope").mkdir()
    np.savez(tmp_path / "scope" / "params.npz", **_scope())  # pyright: ignore[reportArgumentType]
    (tmp_path / "peer").mkdir()
    (tmp_path / "peer" / "sae.json").write_text(json.dumps({"format": "interp-lab.sae.v1", "mean": [0.0] * 100}))
    for folder, name in [("layers.1", "sae.safetensors"), ("learned", "ae.pt"), ("scope", "params.npz"),
                         ("peer", "sae.json")]:  # fmt: skip
        path = tmp_path / folder / name
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(LabError):
            read_foreign(tmp_path / folder, format_of(tmp_path / folder))


def test_a_dictionary_of_another_width_than_it_says_is_refused(tmp_path: Path) -> None:
    t = _scope() | {"b_dec": _array(D + 1)}
    np.savez(tmp_path / "params.npz", **t)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidDictionary):
        read_foreign(tmp_path, "gemma_scope")


def test_a_folder_in_no_format_is_refused_with_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidDictionary, match=r"cfg\.json"):
        format_of(tmp_path)
