"""Which tensors of a checkpoint make logits, by family, and what is refused because it is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from interp_lab.errors import NoUnembedding
from interp_lab.models.unembedding import read_unembedding

D, V = 6, 11
GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": D, "n_head": 2, "vocab_size": V}
LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": D, "num_attention_heads": 2, "vocab_size": V}


def _model(folder: Path, config: dict[str, Any], **tensors: tuple[int, ...]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    named = {name.replace("__", "."): rng.normal(size=shape).astype(np.float32) for name, shape in tensors.items()}
    save_file(named, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_tied_model_uses_its_embedding_with_and_without_the_prefix(tmp_path: Path) -> None:
    for number, prefix in enumerate(("", "transformer__")):
        names = {f"{prefix}wte__weight": (V, D), f"{prefix}ln_f__weight": (D,)}
        found = read_unembedding(_model(tmp_path / str(number), GPT2, **names))
        assert (found.n_vocab, found.tied, found.centres, found.capped) == (V, True, True, False)


def test_a_head_of_its_own_is_preferred_to_the_embedding(tmp_path: Path) -> None:
    names = {"model__embed_tokens__weight": (V, D), "model__norm__weight": (D,), "lm_head__weight": (V, D)}
    found = read_unembedding(_model(tmp_path / "m", LLAMA, **names))
    assert (found.tied, found.centres) == (False, False)
    rng = np.random.default_rng(0)
    rng.normal(size=(V, D))
    gain = rng.normal(size=D).astype(np.float32)
    np.testing.assert_array_equal(found.gain, gain)


def test_a_gain_is_one_plus_the_weight_where_the_family_says_so(tmp_path: Path) -> None:
    names = {"model__embed_tokens__weight": (V, D), "model__norm__weight": (D,)}
    gemma = LLAMA | {"model_type": "gemma2", "final_logit_softcapping": 30.0}
    found, plain = (
        read_unembedding(_model(tmp_path / name, config, **names))
        for name, config in (("gemma", gemma), ("llama", LLAMA | {"tie_word_embeddings": True}))
    )
    np.testing.assert_allclose(found.gain, plain.gain + 1)
    assert (found.capped, plain.capped) == (True, False)
    assert "cap on logits" in found.describe()


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (LLAMA, {"model__embed_tokens__weight": (V, D), "model__norm__weight": (D,)}),
        (GPT2, {"wte__weight": (V, D)}),
        (GPT2, {"wte__weight": (V, D), "ln_f__weight": (D + 1,)}),
        (GPT2, {"wte__weight": (V, D - 1), "ln_f__weight": (D,)}),
        (GPT2 | {"model_type": "something-new"}, {"wte__weight": (V, D), "ln_f__weight": (D,)}),
    ],
    ids=["not tied and no head", "no norm", "a norm of another width", "another width", "an unknown family"],
)
def test_what_is_not_known_is_refused(
    tmp_path: Path, config: dict[str, Any], names: dict[str, tuple[int, ...]]
) -> None:
    with pytest.raises(NoUnembedding):
        read_unembedding(_model(tmp_path / "m", config, **names))
