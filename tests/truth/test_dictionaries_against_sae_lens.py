"""sae-lens loads what we save and we load what it saves, with equal activations, for every architecture it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.layout import shapes
from interp_lab.dictionaries.formats.saelens import load_dictionary, save_dictionary

sae_lens = pytest.importorskip("sae_lens")
pytestmark = pytest.mark.filterwarnings("ignore")

D_IN, N = 10, 32
OURS: dict[str, dict[str, Any]] = {
    "relu": {"architecture": "relu"},
    "gated": {"architecture": "gated"},
    "topk": {"architecture": "topk", "k": 4},
    "jumprelu": {"architecture": "jumprelu"},
    "batchtopk": {"architecture": "batchtopk", "k": 4},
    "matryoshka": {"architecture": "matryoshka", "k": 4},
    "layer_norm": {"architecture": "relu", "normalize": "layer_norm"},
    "raw_input": {"architecture": "jumprelu", "apply_b_dec_to_input": False},
    "transcoder": {"architecture": "relu", "kind": "transcoder", "d_out": 7, "apply_b_dec_to_input": False},
    "skip_transcoder": {
        "architecture": "relu", "kind": "transcoder", "skip": True, "apply_b_dec_to_input": False,
    },
    "jumprelu_skip_transcoder": {
        "architecture": "jumprelu", "kind": "transcoder", "d_out": 7, "skip": True, "apply_b_dec_to_input": False,
    },
}  # fmt: skip


def _ours(form: str) -> Dictionary:
    fields = {"d_in": D_IN, "d_out": D_IN, "n_latents": N, "addresses_in": ("resid_post.1",), "models": ("tiny",)}
    config = DictionaryConfig.model_validate(fields | OURS[form])
    generator = torch.Generator().manual_seed(11)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes(config).items()}
    tensors["W_dec"] /= tensors["W_dec"].norm(dim=1, keepdim=True)
    if "threshold" in tensors:
        tensors["threshold"] = tensors["threshold"].abs()
    return Dictionary(config, **tensors)


def _x() -> torch.Tensor:
    return torch.randn(50, D_IN, generator=torch.Generator().manual_seed(1))


def _agree(ours: Dictionary, theirs: Any) -> None:
    x = _x()
    with torch.no_grad():
        assert int((ours.encode(x) > 0).sum()) > 50
        torch.testing.assert_close(ours.encode(x), theirs.encode(x), atol=1e-6, rtol=1e-6)
        # a common scale for sums of ten products in another order
        torch.testing.assert_close(ours.reconstruct(x), theirs(x), atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("form", OURS)
def test_sae_lens_loads_what_we_save(tmp_path: Path, form: str) -> None:
    made = _ours(form)
    save_dictionary(made, tmp_path)
    theirs = sae_lens.SAE.load_from_disk(tmp_path)
    _agree(made, theirs)
    assert theirs.cfg.metadata.hook_name == "blocks.1.hook_resid_post"


@pytest.mark.parametrize(
    ("architecture", "extra"),
    [
        ("standard", {}),
        ("gated", {}),
        ("topk", {"k": 4, "rescale_acts_by_decoder_norm": False}),
        ("topk", {"k": 4, "rescale_acts_by_decoder_norm": True}),
        ("jumprelu", {}),
        ("jumprelu", {"normalize_activations": "layer_norm"}),
        ("standard", {"apply_b_dec_to_input": False}),
        ("transcoder", {"d_out": 7, "apply_b_dec_to_input": False}),
        ("skip_transcoder", {"d_out": D_IN, "apply_b_dec_to_input": False}),
        ("jumprelu_transcoder", {"d_out": 7, "apply_b_dec_to_input": False}),
        ("jumprelu_skip_transcoder", {"d_out": 7, "apply_b_dec_to_input": False}),
    ],
)
def test_we_load_what_sae_lens_saves(tmp_path: Path, architecture: str, extra: dict[str, Any]) -> None:
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    torch.manual_seed(5)
    theirs = sae_class(config_class(d_in=D_IN, d_sae=N, **extra))
    theirs.cfg.metadata.hook_name = "blocks.2.hook_resid_pre"
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.2 if name in {"threshold", "r_mag"} else 1.0))
            if name == "threshold":
                parameter.abs_()
    theirs.save_model(tmp_path)
    ours = load_dictionary(tmp_path)
    _agree(ours, theirs)
    assert ours.config.addresses_in == ("resid_pre.2",)
    assert ours.config.provenance == "imported"


def test_sae_lens_refuses_a_dictionary_of_a_kind_that_it_does_not_have(tmp_path: Path) -> None:
    config = DictionaryConfig(d_in=D_IN, d_out=D_IN, n_latents=N, k=4, kind="crosscoder", sections=(4, 6))
    generator = torch.Generator().manual_seed(0)
    save_dictionary(
        Dictionary(config, **{n: torch.randn(s, generator=generator) for n, s in shapes(config).items()}), tmp_path
    )
    with pytest.raises(Exception, match=r"topk|crosscoder"):
        sae_lens.SAE.load_from_disk(tmp_path)


def test_a_file_of_ours_that_sae_lens_saved_again_is_still_ours(tmp_path: Path) -> None:
    made = _ours("batchtopk")
    save_dictionary(made, tmp_path)
    sae_lens.SAE.load_from_disk(tmp_path).save_model(tmp_path / "again")
    again = load_dictionary(tmp_path / "again")
    assert again.config == made.config
    assert json.loads((tmp_path / "again" / "cfg.json").read_text())["architecture"] == "jumprelu"
    assert all(torch.equal(again.tensors()[name], tensor) for name, tensor in made.tensors().items())
