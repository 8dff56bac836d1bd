"""A dictionary read a row at a time says what the loaded one says, whatever its kind, type and scaling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.layout import shapes
from interp_lab.dictionaries.formats.saelens import content_hash, load_dictionary, save_dictionary
from interp_lab.errors import InvalidDictionary, UnknownUnit
from interp_lab.settings import Settings
from interp_lab.workflows.features.weights import MappedDictionary, open_dictionary

FORMS: dict[str, dict[str, Any]] = {
    "relu": {"architecture": "relu"},
    "gated": {"architecture": "gated"},
    "topk": {"architecture": "topk", "k": 3},
    "jumprelu": {"architecture": "jumprelu"},
    "transcoder": {"architecture": "relu", "kind": "transcoder", "d_out": 5, "apply_b_dec_to_input": False},
    "crosscoder": {"architecture": "topk", "k": 3, "kind": "crosscoder", "sections": (4, 2)},
}
LATENT = 7


def _saved(folder: Path, form: str, dtype: str) -> None:
    fields = {"d_in": 6, "d_out": 6, "n_latents": 24, "dtype": dtype, "addresses_in": ("resid_post.1",)}
    config = DictionaryConfig.model_validate(fields | FORMS[form])
    generator = torch.Generator().manual_seed(3)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes(config).items()}
    folder.mkdir()
    save_dictionary(Dictionary(config, **{n: t.to(getattr(torch, dtype)) for n, t in tensors.items()}), folder)


def _same(mapped: MappedDictionary, loaded: Dictionary) -> None:
    decoder, encoder = loaded.W_dec.float().numpy(), loaded.W_enc.float().numpy()
    np.testing.assert_allclose(mapped.decoder_row(LATENT), decoder[LATENT], rtol=1e-6)
    np.testing.assert_allclose(mapped.encoder_column(LATENT), encoder[:, LATENT], rtol=1e-6)
    direction = np.linspace(-1, 1, decoder.shape[1]).astype(np.float32)
    wanted = decoder @ direction / np.linalg.norm(decoder, axis=1) / np.linalg.norm(direction)
    np.testing.assert_allclose(mapped.cosines(direction), wanted, rtol=1e-4, atol=1e-6)
    weights = mapped.weights_of(LATENT)
    np.testing.assert_allclose(weights.decoder_norm, np.linalg.norm(decoder[LATENT]), rtol=1e-3)
    np.testing.assert_allclose(weights.encoder_norm, np.linalg.norm(encoder[:, LATENT]), rtol=1e-3)
    for name, found in (("b_enc", weights.encoder_bias), ("threshold", weights.threshold)):
        tensor = getattr(loaded, name)
        assert (tensor is None) == (found is None)
        if tensor is not None and found is not None:
            np.testing.assert_allclose(found, float(tensor[LATENT]), rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("form", FORMS)
def test_rows_norms_and_cosines_are_those_of_the_loaded_dictionary(tmp_path: Path, form: str, dtype: str) -> None:
    _saved(tmp_path / "d", form, dtype)
    mapped, loaded = open_dictionary("d", Settings(workspace=tmp_path)), load_dictionary(tmp_path / "d")
    _same(mapped, loaded)
    assert mapped.content_hash == content_hash(tmp_path / "d")
    assert (mapped.weights_of(LATENT).cosine is None) == (form == "transcoder")


def test_codes_scaled_by_their_decoder_rows_are_read_as_they_are_loaded(tmp_path: Path) -> None:
    _saved(tmp_path / "d", "topk", "float32")
    cfg = tmp_path / "d" / "cfg.json"
    about = json.loads(cfg.read_text())
    plain = open_dictionary("d", Settings(workspace=tmp_path)).decoder_row(LATENT)
    cfg.write_text(json.dumps(about | {"rescale_acts_by_decoder_norm": True, "extra": "x"}))
    mapped = open_dictionary("d", Settings(workspace=tmp_path))
    _same(mapped, load_dictionary(tmp_path / "d"))
    assert not np.allclose(mapped.decoder_row(LATENT), plain)


def test_what_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDictionary):
        open_dictionary("empty", settings)
    _saved(tmp_path / "d", "relu", "float32")
    with pytest.raises(UnknownUnit):
        open_dictionary("d", settings).checked_latent(24)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cfg.json").write_bytes((tmp_path / "d" / "cfg.json").read_bytes())
    _saved(tmp_path / "narrow", "transcoder", "float32")
    weights = (tmp_path / "narrow" / "sae_weights.safetensors").read_bytes()
    (tmp_path / "other" / "sae_weights.safetensors").write_bytes(weights)
    with pytest.raises(InvalidDictionary):
        open_dictionary("other", settings)
