"""Cached activations: SAELens itself loads ours, and we read what its own cache library saves."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interp_lab import errors
from interp_lab.bridges.saelens_cache import read_saelens, write_saelens
from interp_lab.contracts.store import DenseColumn, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.interchange.incoming import write_store
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.store.writer import StoreWriter

KEY, HOOK = "resid_post.1", "blocks.1.hook_resid_post"
LENGTH, WIDTH = 4, 3


def a_store(folder: Path, *, lengths: tuple[int, ...] = (LENGTH, LENGTH), address: str = KEY) -> ActivationStore:
    n = sum(lengths)
    values = np.random.default_rng(0).normal(size=(n, WIDTH)).astype(np.float32)
    header = StoreHeader(columns=(DenseColumn(address=Address.parse(address), width=WIDTH, dtype="float32"),))
    prompts = [number for number, length in enumerate(lengths) for _ in range(length)]
    positions = [place for length in lengths for place in range(length)]
    with StoreWriter(folder, header) as writer:
        rows = {"prompt": prompts, "position": positions, "token_id": np.arange(n, dtype=np.int32)}
        writer.add(RowBlock(rows, {address: values}))
        names = [str(number) for number in range(len(lengths))]
        writer.finish({"id": names, "text": names, "group": range(len(lengths))})
    return open_store(folder)


def exported(store: ActivationStore, folder: Path, **options: Any) -> Path:
    folder.mkdir()
    write_saelens(store, lambda name: folder / name, keys=store.keys, **options)
    return folder


def imported(cache: Path, folder: Path) -> ActivationStore:
    write_store(read_saelens(sorted(cache.iterdir()), name="cache"), folder, group=lambda prompts: range(len(prompts)))
    return open_store(folder)


def test_an_export_read_back_is_the_store(tmp_path: Path) -> None:
    store = a_store(tmp_path / "s")
    again = imported(exported(store, tmp_path / "out"), tmp_path / "t")
    assert again.keys == (KEY,)
    assert np.array_equal(again.dense(KEY).slice(0, 8), store.dense(KEY).slice(0, 8))
    names = ["prompt", "position", "token_id"]
    assert again.rows(names).to_pylist() == store.rows(names).to_pylist()


def test_saelens_loads_an_export(tmp_path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports are deprecated in what it depends on
        from sae_lens.training.activations_store import ActivationsStore

    store = a_store(tmp_path / "s", lengths=(LENGTH,) * 6)
    cache = exported(store, tmp_path / "out")
    loader = SimpleNamespace(
        cached_activations_path=str(cache), hook_name=HOOK, context_size=LENGTH, d_in=WIDTH,
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    dataset = ActivationsStore.load_cached_activation_dataset(loader)
    assert dataset is not None
    loaded = dataset[:]
    assert np.array_equal(loaded[HOOK].reshape(-1, WIDTH).numpy(), store.dense(KEY).slice(0, store.n_rows))
    assert loaded["token_ids"].reshape(-1).tolist() == list(range(store.n_rows))


def test_a_cache_that_its_own_library_saved_is_read(tmp_path: Path) -> None:
    from datasets import Array2D, Dataset, Features, List, Value

    values = np.random.default_rng(1).normal(size=(3, LENGTH, WIDTH)).astype(np.float32)
    features = Features({"h.1": Array2D((LENGTH, WIDTH), "float32"), "token_ids": List(Value("int32"), length=LENGTH)})
    tokens = np.arange(12, dtype=np.int32).reshape(3, LENGTH)
    Dataset.from_dict({"h.1": values, "token_ids": tokens}, features=features).save_to_disk(tmp_path / "cache")
    store = imported(tmp_path / "cache", tmp_path / "t")
    assert store.keys == ("module:h.1",)
    assert np.array_equal(store.dense("module:h.1").slice(0, 12), values.reshape(12, WIDTH))
    assert store.rows(["token_id"]).column(0).to_pylist() == list(range(12))


def test_sequences_across_prompts_only_when_a_size_is_given(tmp_path: Path) -> None:
    store = a_store(tmp_path / "s", lengths=(3, 4))
    with pytest.raises(errors.ExportUnfit, match="3 to 4 rows"):
        exported(store, tmp_path / "none")
    again = imported(exported(store, tmp_path / "out", context_size=2), tmp_path / "t")
    assert again.n_rows == 6
    assert np.array_equal(again.dense(KEY).slice(0, 6), store.dense(KEY).slice(0, 6))


def test_an_address_without_a_hook_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ExportUnfit, match=r"mlp_in\.0 has no hook name"):
        exported(a_store(tmp_path / "s", address="mlp_in.0"), tmp_path / "out")


def stream(folder: Path, column: pa.Array) -> Path:
    folder.mkdir()
    batch = pa.record_batch([column], names=["h.1"])
    with pa.OSFile(str(folder / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, batch.schema) as out:
        out.write_batch(batch)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return folder


@pytest.mark.parametrize(
    ("values", "refusal", "words"),
    [
        ([[[1.0, 2.0], [3.0]]], errors.RaggedRows, "different lengths"),
        ([[[1.0, 2.0]], [[1.0, 2.0]] * 2], errors.RaggedRows, "different lengths"),
        ([[[1.0, None]]], errors.MalformedFile, "gaps"),
        ([[[1, 2]]], errors.MalformedFile, "int64"),
        ([1.0], errors.MalformedFile, "not sequences"),
        ([[[1.0, float("inf")]]], errors.NonFiniteActivations, "module:h.1"),
    ],
)
def test_sequences_that_are_not_whole_are_refused(
    tmp_path: Path, values: list[Any], refusal: type[errors.LabError], words: str
) -> None:
    cache = stream(tmp_path / "cache", pa.array(values))
    with pytest.raises(refusal, match=words):
        imported(cache, tmp_path / "s")


def test_a_folder_that_is_no_cache_or_is_cut_off_is_refused(tmp_path: Path) -> None:
    cache = exported(a_store(tmp_path / "s"), tmp_path / "out")
    data = next(cache.glob("*.arrow"))
    data.write_bytes(data.read_bytes()[:200])
    with pytest.raises(errors.MalformedFile, match="Arrow stream"):
        imported(cache, tmp_path / "t")
    data.unlink()
    with pytest.raises(errors.MalformedFile, match="lacks a file"):
        imported(cache, tmp_path / "u")
    (cache / "state.json").unlink()
    with pytest.raises(errors.MalformedFile, match=r"no state\.json"):
        imported(cache, tmp_path / "v")
