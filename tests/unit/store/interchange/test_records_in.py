"""Activation records become a store: files that another tool wrote, laws of the values, and every kind of bad line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab import errors
from interp_lab.store.interchange.incoming import write_store
from interp_lab.store.interchange.records import read_records
from interp_lab.store.reader import ActivationStore, open_store

FILES = Path(__file__).parent / "files"


def line(name: str = "p", features: Any = None, **changes: Any) -> dict[str, Any]:
    record = {"model": "m", "prompt_id": name, "text": f"text of {name}", "criterion_score": 1.0}
    return {**record, "features": {"L1:D0": 0.5} if features is None else features, **changes}


def store_of(folder: Path, lines: list[Any], **options: Any) -> ActivationStore:
    data = "\n".join(text if isinstance(text, str) else json.dumps(text) for text in lines).encode()
    incoming = read_records(io.BytesIO(data), name="r.jsonl", **options)
    write_store(incoming, folder, group=lambda prompts: range(len(prompts)))
    return open_store(folder)


def test_dimensions_that_another_tool_selected_keep_their_index(tmp_path: Path) -> None:
    lines = (FILES / "hidden_records.jsonl").read_text().splitlines()
    store = store_of(tmp_path / "s", lines)
    assert store.keys == ("resid_pre.2/records", "resid_pre.3/records")
    assert store.manifest.row == "record"
    assert store.manifest.model is not None
    assert store.manifest.model.id == "pocket-llama"
    for row, text in enumerate(lines):
        for feature in json.loads(text)["features"]:
            layer, dimension = feature["feature_id"][1:].split(":D")
            value = store.codes(f"resid_pre.{layer}/records").units([int(dimension)])[row, 0]
            assert value == np.float32(feature["activation"])
    assert store.prompts().column("score").to_pylist() == [1.0, 1.0, 0.0, 0.0]
    assert store.prompts().column("id").to_pylist() == ["a", "b", "c", "d"]


def test_token_records_of_another_tool_become_tokens_of_prompts(tmp_path: Path) -> None:
    lines = (FILES / "latent_records.jsonl").read_text().splitlines()
    store = store_of(tmp_path / "s", lines, absent="zero")
    assert store.keys == ("resid_pre.2/sae",)
    assert store.manifest.row == "token"
    rows = store.rows(["prompt", "position", "token"]).to_pylist()
    assert rows[:2] == [
        {"prompt": 0, "position": 0, "token": "<|bos|>"},
        {"prompt": 0, "position": 1, "token": "The"},
    ]
    assert store.prompts().column("text").to_pylist()[0] == "The box weighs three kilograms"
    for row, text in enumerate(lines):
        expected = {f["feature_id"]: np.float32(f["activation"]) for f in json.loads(text)["features"]}
        block = store.codes("resid_pre.2/sae").row_block(row, row + 1)
        assert {f"SAE:L2:F{j}": v for j, v in zip(block.latents, block.values, strict=True)} == expected


def test_a_feature_that_some_records_lack_is_never_taken_for_inactive_unasked(tmp_path: Path) -> None:
    lines = (FILES / "latent_records.jsonl").read_text().splitlines()
    with pytest.raises(errors.AbsentFeature, match=r"line \d+, lacks the feature 'SAE:L2:F\d'"):
        store_of(tmp_path / "s", lines)


def test_dimensions_that_are_all_there_become_a_dense_column(tmp_path: Path) -> None:
    full = {f"L3:D{d}": d / 8 for d in range(4)}
    store = store_of(tmp_path / "s", [line("a", full), line("b", {k: -v for k, v in full.items()})])
    assert store.keys == ("resid_pre.3",)
    assert store.dense("resid_pre.3").slice(0, 2).tolist() == [[0, 0.125, 0.25, 0.375], [0, -0.125, -0.25, -0.375]]


def test_a_name_that_says_no_place_is_kept(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", [line("a", {"honesty": 1.0, "x y": 2.0}), line("b", {"x y": 3.0, "honesty": 4.0})])
    assert store.keys == ("module:records/features",)
    assert store.manifest.settings["features"] == {"0": "honesty", "1": "x y"}
    assert store.codes("module:records/features").units([0, 1]).tolist() == [[1.0, 2.0], [4.0, 3.0]]


def test_what_a_record_says_of_a_feature_decides_where_it_goes(tmp_path: Path) -> None:
    said = {"L3:D0": {"address": "resid_post.2", "unit": 0}}
    assert store_of(tmp_path / "s", [line(feature_metadata=said, features={"L3:D0": 1.0})]).keys == ("resid_post.2",)


def test_scores_that_differ_between_tokens_of_a_prompt_are_a_metric(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", [line("p:tok0", criterion_score=0.0), line("p:tok1", criterion_score=1.0)])
    assert store.rows(["metric:criterion_score"]).column(0).to_pylist() == [0.0, 1.0]


def test_one_model_of_several_is_read_and_none_is_guessed(tmp_path: Path) -> None:
    lines = [line("a"), line("b", model="other", features={"L9:D0": 2.0})]
    assert store_of(tmp_path / "s", lines, model="other").keys == ("resid_pre.9",)
    with pytest.raises(errors.SeveralModels, match="m and other"):
        store_of(tmp_path / "t", lines)
    with pytest.raises(errors.MalformedFile, match="no record of model 'third'"):
        store_of(tmp_path / "u", lines, model="third")


@pytest.mark.parametrize(
    ("bad", "refusal", "words"),
    [
        ('{"model": "m"', errors.MalformedFile, "line 3"),
        ("[1]", errors.MalformedFile, "line 3, is not an object"),
        (line("b", {"L1:D0": "0.5"}), errors.MalformedFile, "line 3, has a features"),
        (line("b", {"L1:D0": True}), errors.MalformedFile, "line 3, has a features"),
        ('{"model":"m","criterion_score":1,"features":{"L1:D0":NaN}}', errors.MalformedFile, "line 3"),
        (line("b", {"L1:D0": 1e39}), errors.MalformedFile, "line 3, .*too large"),
        (line("b", [{"activation": 1.0}]), errors.MalformedFile, "line 3, .*without feature_id"),
        (line("b", [{"feature_id": "L1:D0"}]), errors.MalformedFile, "line 3, .*not a number"),
        (line("b", [{"feature_id": "x", "value": 1}] * 2), errors.MalformedFile, "line 3, names the feature 'x' twice"),
        (line("b", feature_metadata=[]), errors.MalformedFile, "line 3, .*not an object"),
        (line("b", {"L1:D0": 1.0, "L1:D1": 1.0}), errors.AbsentFeature, "line 1, lacks the feature 'L1:D1'"),
        (line("b", {}), errors.AbsentFeature, "line 3, lacks the feature 'L1:D0'"),
        (line("a"), errors.DuplicateRows, "line 3: 'a' was there before"),
        (
            {key: value for key, value in line("b").items() if key != "model"},
            errors.MalformedFile,
            "line 3, has no model",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: Any, refusal: type[errors.LabError], words: str) -> None:
    with pytest.raises(refusal, match=words):
        store_of(tmp_path / "s", [line("a"), "", bad])
    assert store_of(tmp_path / "good", [line("a"), "", line("b")]).n_rows == 2


def test_two_names_of_one_unit_are_refused(tmp_path: Path) -> None:
    said = {"second": {"address": "resid_pre.1", "unit": 0}}
    with pytest.raises(errors.DuplicateRows, match="second name of unit 0"):
        store_of(tmp_path / "s", [line(features={"L1:D0": 1.0, "second": 2.0}, feature_metadata=said)])


def test_an_import_into_a_folder_with_rows_is_refused(tmp_path: Path) -> None:
    store_of(tmp_path / "s", [line()])
    with pytest.raises(errors.StoreConflict):
        store_of(tmp_path / "s", [line()])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 5), st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=6))
def test_every_value_arrives_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[int, float]]
) -> None:
    rows = [{**row, 7: 1.0} for row in rows]  # a feature that every record has
    lines = [line(str(n), {f"SAE:L0:F{unit}": value for unit, value in row.items()}) for n, row in enumerate(rows)]
    store = store_of(tmp_path_factory.mktemp("law") / "s", lines, absent="zero")
    values = store.codes("resid_pre.0/sae").units(range(8))
    expected = np.array([[row.get(unit, 0.0) for unit in range(8)] for row in rows], np.float32)
    assert np.array_equal(values, expected)


def test_a_label_of_spans_stays_one_and_other_lists_are_refused(tmp_path: Path) -> None:
    spans = [[[3, 7]], [], [[0, 2], [5, 6]], None]
    lines = [line(f"p{i}", metadata={"labels": {"spans": value}}) for i, value in enumerate(spans)]
    store = store_of(tmp_path / "s", lines)
    assert [(label.name, label.type) for label in store.manifest.labels] == [("spans", "span")]
    assert store.prompts().column("label:spans").to_pylist() == spans
    for wrong in ([1, 2], [[1]], [["a", "b"]], "text"):
        mixed = [line("a", metadata={"labels": {"spans": [[3, 7]]}}), line("b", metadata={"labels": {"spans": wrong}})]
        with pytest.raises(errors.MalformedFile, match="not of one type"):
            store_of(tmp_path / "refused", mixed)
