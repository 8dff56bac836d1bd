"""Latent caches in delphi's layout, in and out, and every way in which a folder of them can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from interp_lab import errors
from interp_lab.points import Address
from interp_lab.store.interchange.incoming import write_store
from interp_lab.store.interchange.latent_cache import read_latent_cache
from interp_lab.store.interchange.latent_cache_out import write_latent_cache
from interp_lab.store.reader import ActivationStore, open_store
from tests.unit.store.interchange.stores import CODES, codes, make_store

KEY = "resid_post.1/delphi"


def store_of(cache: Path, folder: Path) -> ActivationStore:
    incoming = read_latent_cache(sorted(cache.iterdir()), name="cache", address=Address("resid_post", 1))
    write_store(incoming, folder, group=lambda prompts: range(len(prompts)))
    return open_store(folder)


def cache_of(folder: Path, **changes: dict[str, Any]) -> Path:
    """Write two files as delphi does: latents 0-2 and 3-4 of 2 sequences of 3 tokens."""
    folder.mkdir()
    tokens = np.arange(6).reshape(2, 3)
    files = {
        "0_2": {"locations": np.array([[0, 0, 2], [1, 1, 0]], np.uint16), "activations": np.array([2, 3], np.float16)},
        "3_4": {"locations": np.array([[0, 0, 1]], np.uint16), "activations": np.array([5], np.float16)},
    }
    for name, tensors in files.items():
        save_file({**tensors, "tokens": tokens, **changes.get(name, {})}, folder / f"{name}.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_name": "m", "ctx_len": 3, "n_tokens": 6}))
    return folder


def test_a_cache_becomes_codes_at_the_right_token(tmp_path: Path) -> None:
    store = store_of(cache_of(tmp_path / "cache"), tmp_path / "s")
    expected = np.zeros((6, 5), np.float32)
    expected[0, 2], expected[4, 0], expected[0, 4] = 2, 3, 5
    assert np.array_equal(codes(store, KEY), expected)
    assert store.rows(["token_id"]).column(0).to_pylist() == list(range(6))
    assert store.manifest.model is not None
    assert store.manifest.model.id == "m"


def test_a_cache_and_back_is_the_same_codes(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", lengths=(4, 4, 4))
    out = tmp_path / "out"
    out.mkdir()
    assert write_latent_cache(store, lambda name: out / name, key=CODES, n_splits=3) == (12, 3)
    assert sorted(path.name for path in out.iterdir()) == [
        "0_1.safetensors", "2_3.safetensors", "4_6.safetensors", "config.json",
    ]  # fmt: skip
    again = store_of(out, tmp_path / "t")
    assert np.array_equal(codes(again, KEY), codes(store).astype(np.float16).astype(np.float32))
    assert again.rows(["token_id"]).column(0).to_pylist() == store.rows(["token_id"]).column(0).to_pylist()


def test_locations_are_written_as_the_format_says(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", lengths=(4, 4))
    out = tmp_path / "out"
    out.mkdir()
    write_latent_cache(store, lambda name: out / name, key=CODES, n_splits=2)
    tensors = load_file(out / "3_6.safetensors")
    assert (tensors["locations"].dtype, tensors["activations"].dtype) == (np.uint16, np.float16)
    assert tensors["tokens"].shape == (2, 4)
    expected = np.argwhere(codes(store).reshape(2, 4, -1)[:, :, 3:])
    assert np.array_equal(tensors["locations"], expected)


def test_prompts_of_different_lengths_need_a_size_and_lose_only_the_rest(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", lengths=(3, 4))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(errors.ExportUnfit, match="3 to 4 rows"):
        write_latent_cache(store, lambda name: out / name, key=CODES)
    with pytest.raises(errors.ExportUnfit, match="longer than the store"):
        write_latent_cache(store, lambda name: out / name, key=CODES, context_size=8)
    assert write_latent_cache(store, lambda name: out / name, key=CODES, context_size=3) == (6, 2)
    assert np.array_equal(
        codes(store_of(out, tmp_path / "t"), KEY), codes(store)[:6].astype(np.float16).astype(np.float32)
    )


@pytest.mark.parametrize(
    ("changes", "refusal", "words"),
    [
        ({"locations": np.array([[0, 0, 2]], np.uint16)}, errors.MalformedFile, "outside of 3 to 4"),
        ({"locations": np.array([[2, 0, 1]], np.uint16)}, errors.MalformedFile, "outside of its"),
        ({"locations": np.array([[0, 3, 1]], np.uint16)}, errors.MalformedFile, "outside of its"),
        ({"locations": np.array([[0, 0]], np.uint16)}, errors.MalformedFile, "does not hold"),
        ({"activations": np.array([np.nan], np.float16)}, errors.NonFiniteInput, "activation 0"),
        ({"tokens": np.ones((2, 3), np.int64)}, errors.RaggedRows, "other tokens"),
        (
            {"locations": np.array([[0, 0, 1]] * 2, np.uint16), "activations": np.array([1, 2], np.float16)},
            errors.DuplicateRows,
            "Latent 4 stands twice at row 0",
        ),
    ],
)
def test_a_wrong_file_is_named(
    tmp_path: Path, changes: dict[str, Any], refusal: type[errors.LabError], words: str
) -> None:
    cache = cache_of(tmp_path / "cache", **{"3_4": changes})
    with pytest.raises(refusal, match=words):
        store_of(cache, tmp_path / "s")


def test_a_gap_between_files_and_a_file_cut_off_are_refused(tmp_path: Path) -> None:
    gap = cache_of(tmp_path / "gap")
    (gap / "3_4.safetensors").rename(gap / "4_5.safetensors")
    with pytest.raises(errors.RaggedRows, match="begins at latent 4"):
        store_of(gap, tmp_path / "s")
    cut = cache_of(tmp_path / "cut")
    data = (cut / "3_4.safetensors").read_bytes()
    (cut / "3_4.safetensors").write_bytes(data[:-1])
    with pytest.raises(errors.MalformedFile, match=r"3_4\.safetensors"):
        store_of(cut, tmp_path / "t")
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.MalformedFile, match="START_END"):
        store_of(tmp_path / "empty", tmp_path / "u")
