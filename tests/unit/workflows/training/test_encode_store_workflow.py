"""Latents of a dictionary become columns of a store, equal to encoding the rows; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.encode_store import EncodeStoreRequest, EncodeStoreResult
from interp_lab.contracts.features import ShowFeatureRequest
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.layout import shapes
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.errors import DictionaryMismatch, InvalidDictionary, LabError
from interp_lab.jobs.run import LocalRun
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.settings import Settings
from interp_lab.store.reader import open_store
from interp_lab.store.verify import verify
from interp_lab.workflows.encode_store import encode_store
from interp_lab.workflows.show_feature import show_feature

MakeStore = Callable[..., Path]


def _dictionary(folder: Path, d_in: int = 16, address: str = "resid_post.0", n_latents: int = 40) -> Dictionary:
    config = DictionaryConfig(d_in=d_in, d_out=d_in, n_latents=n_latents, k=4, addresses_in=(address,))
    generator = torch.Generator().manual_seed(n_latents)
    made = Dictionary(config, **{n: torch.randn(s, generator=generator) for n, s in shapes(config).items()})
    folder.mkdir()
    save_dictionary(made, folder)
    return made


def _encode(request: EncodeStoreRequest, settings: Settings, run: LocalRun | None = None) -> EncodeStoreResult:
    with run or LocalRun(settings.workspace / "out", workspace=settings.workspace) as running:
        return encode_store(request, running, settings=settings, suggest=lambda _columns: ())


def test_codes_of_the_new_store_equal_encoding_its_rows(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    old = open_store(make_store())
    first, second = _dictionary(tmp_path / "a"), _dictionary(tmp_path / "b", address="resid_post.1", n_latents=24)
    request = EncodeStoreRequest(store="store", dictionaries=("a", "b"), dtype="float32")
    result = _encode(request, settings)
    (folder,) = (tmp_path / "out").glob("activation_store-*")
    new = open_store(folder)
    assert new.keys == tuple(column.key for column in result.columns)
    for column, made, key in zip(result.columns, (first, second), ("resid_post.0", "resid_post.1"), strict=True):
        wanted = made.encode(torch.from_numpy(old.dense(key).slice(0, old.n_rows))).numpy()
        found = new.codes(column.key).units(np.arange(made.n_latents))
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        assert column.l0 == pytest.approx((wanted > 0).sum(1).mean(), abs=1e-3)
    assert not any("resid_post.0-0" in path.name for path in folder.iterdir())
    assert (folder / old.manifest.prompts.name).stat().st_ino != (tmp_path / "store" / "prompts.parquet").stat().st_ino
    assert verify(folder) == ()
    assert new.rows(["token"]).equals(old.rows(["token"]))
    assert new.prompts().equals(old.prompts())


def test_a_latent_is_called_alike_with_and_without_the_store_that_its_dictionary_encoded(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    _dictionary(tmp_path / "a")
    (column,) = _encode(EncodeStoreRequest(store="store", dictionaries=("a",)), settings).columns
    request = ShowFeatureRequest(dictionary="a", unit=3)
    card = show_feature(request, settings=settings, publish=lambda result, _: result)
    assert card.feature == f"{column.key}#3"
    assert card.feature != "resid_post.0#3"


class _Stopping(LocalRun):
    left = 3

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            raise InterruptedJob


def test_an_interrupted_encoding_goes_on_and_gives_the_same_store(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    _dictionary(tmp_path / "a")
    request = EncodeStoreRequest(store="store", dictionaries=("a",), keep_dense=True)
    with pytest.raises(InterruptedJob):
        _encode(request, settings, _Stopping(tmp_path / "out", workspace=tmp_path))
    _encode(request, settings)
    with LocalRun(tmp_path / "whole", workspace=tmp_path) as run:
        encode_store(request, run, settings=settings, suggest=lambda _columns: ())
    (cut,), (whole,) = (sorted((tmp_path / name).glob("activation_store-*")) for name in ("out", "whole"))
    assert (cut / "store.json").read_bytes() == (whole / "store.json").read_bytes()
    assert open_store(cut).dense("resid_post.1").slice(0, 5).shape == (5, 16)


def test_a_dictionary_of_another_width_is_refused(tmp_path: Path, make_store: MakeStore, settings: Settings) -> None:
    make_store()
    _dictionary(tmp_path / "a", d_in=12)
    with pytest.raises(DictionaryMismatch, match="reads 12 coordinates"):
        _encode(EncodeStoreRequest(store="store", dictionaries=("a",)), settings)


def test_a_dictionary_of_another_place_is_refused(tmp_path: Path, make_store: MakeStore, settings: Settings) -> None:
    make_store()
    _dictionary(tmp_path / "a", address="mlp_out.3")
    with pytest.raises(DictionaryMismatch, match=r"reads mlp_out\.3"):
        _encode(EncodeStoreRequest(store="store", dictionaries=("a",)), settings)


def test_the_same_dictionary_twice_and_truncated_weights_are_refused(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    _dictionary(tmp_path / "a")
    with pytest.raises(DictionaryMismatch, match="two columns"):
        _encode(EncodeStoreRequest(store="store", dictionaries=("a", "a")), settings)
    path = tmp_path / "a" / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LabError):
        _encode(EncodeStoreRequest(store="store", dictionaries=("a",)), settings)
    path.unlink()
    with pytest.raises(InvalidDictionary, match="absent"):
        _encode(EncodeStoreRequest(store="store", dictionaries=("a",)), settings)
