"""The SAELens layout is our own: what is saved is loaded bit for bit, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.layout import shapes
from interp_lab.dictionaries.formats.saelens import load_dictionary, save_dictionary
from interp_lab.dictionaries.formats.saelens_config import read_cfg, write_cfg
from interp_lab.errors import InvalidDictionary, LabError, UnsupportedDictionary

FORMS: dict[str, dict[str, Any]] = {
    "relu": {"architecture": "relu"},
    "gated": {"architecture": "gated"},
    "topk": {"architecture": "topk", "k": 3},
    "batchtopk": {"architecture": "batchtopk", "k": 2.5},
    "jumprelu": {"architecture": "jumprelu"},
    "matryoshka": {"architecture": "matryoshka", "k": 3, "group_sizes": (8, 16)},
    "without_b_dec": {"architecture": "topk", "k": 3, "apply_b_dec_to_input": False},
    "layer_norm": {"architecture": "relu", "normalize": "layer_norm"},
    "transcoder": {"architecture": "relu", "kind": "transcoder", "d_out": 5, "apply_b_dec_to_input": False},
    "topk_transcoder": {"architecture": "topk", "k": 2, "kind": "transcoder", "apply_b_dec_to_input": False},
    "skip_transcoder": {
        "architecture": "jumprelu", "kind": "transcoder", "d_out": 5, "skip": True, "apply_b_dec_to_input": False,
    },
    "crosscoder": {"architecture": "topk", "k": 3, "kind": "crosscoder", "sections": (4, 2)},
}  # fmt: skip


def make(form: str, dtype: str = "float32", **facts: Any) -> Dictionary:
    fields = {"d_in": 6, "d_out": 6, "n_latents": 24, "dtype": dtype, "addresses_in": ("resid_post.1",)}
    config = DictionaryConfig.model_validate(fields | FORMS[form] | facts)
    generator = torch.Generator().manual_seed(3)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes(config).items()}
    tensors["W_dec"] /= tensors["W_dec"].norm(dim=1, keepdim=True)
    if "threshold" in tensors:
        tensors["threshold"] = tensors["threshold"].abs() / 4
    return Dictionary(config, **{name: tensor.to(getattr(torch, dtype)) for name, tensor in tensors.items()})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path, form: str, dtype: str) -> None:
    made = make(form, dtype, models=("tiny",), trained_tokens=1000, seed=4, dataset="the dataset")
    save_dictionary(made, tmp_path)
    again = load_dictionary(tmp_path)
    assert again.config == made.config
    assert again.tensors().keys() == made.tensors().keys()
    for name, tensor in made.tensors().items():
        assert torch.equal(again.tensors()[name], tensor), name


@settings(max_examples=30, deadline=None)
@given(
    architecture=st.sampled_from(["relu", "gated", "topk", "batchtopk", "jumprelu", "matryoshka"]),
    kind=st.sampled_from(["sae", "transcoder"]),
    width=st.integers(1, 9),
    n_latents=st.integers(4, 40),
    address=st.sampled_from(["resid_post.0", "z.3", "mlp_in.2", "embed", "module:transformer.h.2.mlp@in"]),
)
def test_every_configuration_survives_cfg_json(
    architecture: str, kind: str, width: int, n_latents: int, address: str
) -> None:
    config = DictionaryConfig.model_validate(
        {
            "architecture": architecture, "kind": kind, "d_in": width, "d_out": width, "n_latents": n_latents,
            "k": 2 if architecture in {"topk", "batchtopk", "matryoshka"} else None,
            "apply_b_dec_to_input": kind == "sae", "addresses_in": (address,),
        }
    )  # fmt: skip
    assert read_cfg(json.loads(json.dumps(write_cfg(config)))).config == config


def test_the_factor_of_the_normalisation_goes_into_the_weights(tmp_path: Path) -> None:
    made = make("topk", normalize="expected_average_norm", scale=2.5)
    save_dictionary(made, tmp_path)
    again = load_dictionary(tmp_path)
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    assert again.config.normalize == "none"
    torch.testing.assert_close(again.encode(x), made.encode(x))
    torch.testing.assert_close(again.reconstruct(x), made.reconstruct(x))


def test_an_edited_file_is_believed_over_our_own_record(tmp_path: Path) -> None:
    save_dictionary(make("topk"), tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    cfg["k"] = 7
    (tmp_path / "cfg.json").write_text(json.dumps(cfg))
    again = load_dictionary(tmp_path)
    assert again.config.k == 7
    assert again.config.provenance == "imported"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_weights_are_refused(tmp_path: Path, share: float) -> None:
    save_dictionary(make("topk"), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(LabError):
        load_dictionary(tmp_path)


def _change(folder: Path, name: str, tensor: torch.Tensor | None) -> None:
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors.pop(name, None)
    save_file(tensors | ({} if tensor is None else {name: tensor}), folder / "sae_weights.safetensors")


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("b_enc", None, "lacks b_enc"),
        ("W_dec", torch.zeros(24, 7), "shape"),
        ("extra", torch.zeros(2), "extra"),
        ("b_dec", torch.full((6,), torch.nan), "NaN"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, words: str
) -> None:
    save_dictionary(make("topk"), tmp_path)
    _change(tmp_path, name, tensor)
    with pytest.raises(InvalidDictionary, match=words):
        load_dictionary(tmp_path)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"architecture": "temporal"}, UnsupportedDictionary),
        ({"normalize_activations": "constant_norm_rescale"}, UnsupportedDictionary),
        ({"d_in": -1}, InvalidDictionary),
        ({"d_sae": None}, InvalidDictionary),
        ({"k": 500}, InvalidDictionary),
    ],
)
def test_a_configuration_that_cannot_be_computed_is_refused(
    tmp_path: Path, change: dict[str, Any], error: type[LabError]
) -> None:
    save_dictionary(make("topk"), tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text()) | change
    (tmp_path / "cfg.json").write_text(json.dumps(cfg))
    with pytest.raises(error):
        load_dictionary(tmp_path)


def test_files_from_before_version_6_are_understood() -> None:
    old = {
        "d_in": 6, "d_sae": 24, "hook_point": "blocks.3.hook_resid_pre", "model_name": "gpt2-small", "k": None,
        "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}, "normalize_activations": False,
        "dtype": "torch.float32",
    }  # fmt: skip
    config = read_cfg(old).config
    assert (config.architecture, config.k, config.addresses_in) == ("topk", 4, ("resid_pre.3",))
