"""NumPy arrays in and out: nothing lost on the way round, nothing unpickled, nothing read that is not all there."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab import errors
from interp_lab.contracts.store import DenseColumn, LabelField, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.interchange.array_stream import open_arrays
from interp_lab.store.interchange.arrays import read_arrays
from interp_lab.store.interchange.arrays_out import write_arrays
from interp_lab.store.interchange.incoming import write_store
from interp_lab.store.interchange.label_table import read_label_table
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.store.writer import StoreWriter
from tests.unit.store.interchange.stores import CODES, DENSE, codes, dense, make_store

HERE = Address("mlp_out", 3)


def store_of(folder: Path, data: bytes, *, csv: bytes | None = None, **options: Any) -> ActivationStore:
    labels = None if csv is None else read_label_table(io.BytesIO(csv), where="rows.csv")
    with open_arrays(io.BytesIO(data), where="a.npy") as arrays:
        incoming = read_arrays(arrays, name="a.npy", labels=labels, **options)
        write_store(incoming, folder, group=lambda prompts: range(len(prompts)))
    return open_store(folder)


def npy(array: np.ndarray, *, pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickle)
    return file.getvalue()


def npz(save: Callable[..., None] = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def test_labels_called_like_other_columns_are_told_apart_and_can_be_read_again(tmp_path: Path) -> None:
    labels = [LabelField(name=name, type="string", scope=scope) for name, scope in LABELS]
    header = StoreHeader(columns=(DenseColumn(address=HERE, width=1),), labels=tuple(labels))
    with StoreWriter(tmp_path / "s", header) as writer:
        rows = {"prompt": [0], "position": [0], "label:text": ["row"], "label:both": ["of the row"]}
        writer.add(RowBlock(rows, {"mlp_out.3": np.zeros((1, 1), np.float32)}))
        prompt = {"label:both": ["of the prompt"], "label:plain": ["p"]}
        writer.finish({"id": ["a"], "text": ["Whole text."], "group": [0], **prompt})
    (tmp_path / "out").mkdir()
    write_arrays(open_store(tmp_path / "s"), lambda name: tmp_path / "out" / name, keys=["mlp_out.3"], archive=True)
    archive, table = ((tmp_path / "out" / name).read_bytes() for name in ("activations.npz", "rows.csv"))
    again = store_of(tmp_path / "t", archive, csv=table)
    found = {label.name: again.rows([f"label:{label.name}"]).column(0).to_pylist() for label in again.manifest.labels}
    assert found == {
        "label_text": ["row"],
        "both": ["of the row"],
        "label_both": ["of the prompt"],
        "plain": ["p"],
    }
    assert again.prompts().column("text").to_pylist() == ["Whole text."]


LABELS: tuple[tuple[str, Any], ...] = (("text", "row"), ("both", "row"), ("both", "prompt"), ("plain", "prompt"))


def test_an_archive_and_its_table_give_the_store_back(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    out = tmp_path / "out"
    out.mkdir()
    write_arrays(store, lambda name: out / name, keys=store.keys, archive=True)
    again = store_of(tmp_path / "t", (out / "activations.npz").read_bytes(), csv=(out / "rows.csv").read_bytes())
    assert again.keys == store.keys
    assert np.array_equal(dense(again), dense(store))
    assert np.array_equal(codes(again), codes(store))
    names = ["prompt", "position", "token_id", "token", "special", "generated", "span", "metric:loss", "label:even"]
    assert again.rows(names).to_pylist() == store.rows(names).to_pylist()
    names = ["id", "text", "score"]
    assert again.prompts().select(names).to_pylist() == store.prompts().select(names).to_pylist()
    assert again.rows(["label:topic"]).column(0).to_pylist() == ["sea"] * 3 + ["sky"] * 4


def test_numpy_itself_reads_what_is_written(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    out = tmp_path / "out"
    out.mkdir()
    write_arrays(store, lambda name: out / name, keys=store.keys, archive=True)
    write_arrays(store, lambda name: out / name, keys=store.keys, archive=False)
    with np.load(out / "activations.npz") as loaded:
        assert np.array_equal(loaded[DENSE], dense(store))
        assert loaded["prompt"].tolist() == [0, 0, 0, 1, 1, 1, 1]
        assert int(loaded[f"{CODES}.offsets"][-1]) == np.count_nonzero(codes(store))
    assert np.array_equal(np.load(out / f"{DENSE}.npy"), dense(store))


def test_one_store_gives_one_archive_byte_for_byte(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_arrays(store, lambda file, name=name: tmp_path / name / file, keys=store.keys, archive=True)
    assert (tmp_path / "a/activations.npz").read_bytes() == (tmp_path / "b/activations.npz").read_bytes()


def test_sequences_become_prompts(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    store = store_of(tmp_path / "s", npy(values), address=HERE)
    assert store.keys == ("mlp_out.3",)
    assert store.rows(["prompt", "position"]).to_pylist()[3] == {"prompt": 1, "position": 0}
    assert np.array_equal(dense(store, "mlp_out.3"), values.reshape(6, 4))


def test_a_compressed_archive_without_a_table_says_its_own_rows(tmp_path: Path) -> None:
    data = npz(np.savez_compressed, **{"resid_post.0": np.eye(3), "prompt": [4, 4, 9], "position": [0, 1, 0]})
    store = store_of(tmp_path / "s", data)
    assert store.rows(["prompt", "position"]).to_pylist()[2] == {"prompt": 1, "position": 0}
    assert store.prompts().column("id").to_pylist() == ["4", "9"]


def test_labels_have_the_type_that_fits_all_their_cells(tmp_path: Path) -> None:
    csv = b"prompt,kind,n,x,flag,code\na,sea,1,0.5,true,007\na,,2,1,false,8\n"
    store = store_of(tmp_path / "s", npy(np.zeros((2, 1))), csv=csv, address=HERE)
    assert {label.name: label.type for label in store.manifest.labels} == {
        "kind": "string", "n": "integer", "x": "number", "flag": "boolean", "code": "string",
    }  # fmt: skip
    assert store.rows(["label:kind", "label:code"]).to_pylist()[0] == {"label:kind": "sea", "label:code": "007"}
    assert store.rows(["label:kind"]).column(0).to_pylist()[1] is None


@pytest.mark.parametrize(
    ("data", "options", "refusal", "words"),
    [
        (npy(np.zeros((2, 3)))[:-1], {"address": HERE}, errors.MalformedFile, "cut off"),
        (npy(np.zeros((2, 3))), {}, errors.InvalidRequest, "without a name"),
        (npy(np.zeros(6)), {"address": HERE}, errors.MalformedFile, "shape"),
        (npy(np.zeros((2, 0))), {"address": HERE}, errors.MalformedFile, "shape"),
        (npy(np.asfortranarray(np.zeros((2, 3)))), {"address": HERE}, errors.MalformedFile, "by columns"),
        (npy(np.array([[{}]], object), pickle=True), {"address": HERE}, errors.MalformedFile, "object"),
        (npy(np.array([[1.0, np.nan]])), {"address": HERE}, errors.NonFiniteActivations, "mlp_out.3"),
        (npy(np.array([["a"]])), {"address": HERE}, errors.MalformedFile, "<U1"),
        (b"not an array", {"address": HERE}, errors.MalformedFile, "neither"),
        (npz(nonsense=np.zeros((2, 2))), {}, errors.MalformedFile, "no address"),
        (npz(**{"embed": np.zeros((2, 2)), "mlp_out.0": np.zeros((3, 2))}), {}, errors.RaggedRows, "different rows"),
        (npz(embed=np.zeros((2, 2)), prompt=[0], position=[0]), {}, errors.RaggedRows, "has 2 rows"),
        (npz(**{"embed/x.offsets": [0, 2], "embed/x.latents": [1]}), {}, errors.MalformedFile, "lacks one of"),
        (npz(), {}, errors.MalformedFile, "no array"),
    ],
)
def test_what_is_not_plain_numbers_all_there_is_refused(
    tmp_path: Path, data: bytes, options: dict[str, Any], refusal: type[errors.LabError], words: str
) -> None:
    with pytest.raises(refusal, match=words):
        store_of(tmp_path / "s", data, **options)


@pytest.mark.parametrize(
    ("csv", "refusal", "words"),
    [
        (b"prompt,prompt\na,b\na,b\n", errors.MalformedFile, "line 1"),
        (b"prompt\na\na,b\n", errors.MalformedFile, "line 3, has 2 cells"),
        (b"prompt\na\n", errors.RaggedRows, "has 2 rows; .* has 1"),
        (b"prompt,position\na,0\na,0\n", errors.DuplicateRows, "line 3"),
        (b"position\n0\nx\n", errors.MalformedFile, "line 3: 'x' is not a whole number"),
        (b"prompt,text\na,one\na,two\n", errors.MalformedFile, "line 3"),
        (b"prompt,score\na,nan\nb,1\n", errors.MalformedFile, "line 2: 'nan' is not finite"),
        (b"prompt,special\na,true\nb,maybe\n", errors.MalformedFile, "line 3: special"),
        (b"prompt\n\xff\n\xff\n", errors.MalformedFile, "UTF-8"),
        (b"a b,a_b\n1,2\n1,2\n", errors.MalformedFile, "plain names are the same"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    tmp_path: Path, csv: bytes, refusal: type[errors.LabError], words: str
) -> None:
    with pytest.raises(refusal, match=words):
        store_of(tmp_path / "s", npy(np.zeros((2, 1))), csv=csv, address=HERE)
