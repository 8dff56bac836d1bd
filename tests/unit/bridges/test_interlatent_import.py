"""Interlatent databases, one row per scalar or per vector: every value at its token, and no vector made up."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab import errors
from interp_lab.bridges.interlatent import address_of, read_interlatent
from interp_lab.store.interchange.incoming import write_store
from interp_lab.store.reader import ActivationStore, open_store

SCALARS = """CREATE TABLE activations (
  run_id TEXT, step INTEGER, layer TEXT, channel INTEGER, prompt TEXT, prompt_index INTEGER, token_index INTEGER,
  token TEXT, tensor TEXT, timestamp TEXT, context TEXT, PRIMARY KEY (run_id, step, layer, channel)) WITHOUT ROWID"""
VECTORS = SCALARS.replace("channel INTEGER, ", "").replace("timestamp TEXT, ", "").replace(", channel)", ")")

Row = dict[str, Any]
PROMPTS = ("one two three", "four five")
LAYERS = ("llm.layer.0", "llm.layer.2")


def tokens() -> list[tuple[int, int, str]]:
    return [(p, t, word) for p, prompt in enumerate(PROMPTS) for t, word in enumerate(prompt.split())]


def values(layer: str, width: int = 12) -> np.ndarray:
    return np.random.default_rng(len(layer) + int(layer[-1])).normal(size=(len(tokens()), width)).astype(np.float32)


def rows(*, scalar: bool = True, layers: tuple[str, ...] = LAYERS, width: int = 12) -> list[Row]:
    made: list[Row] = []
    for step, (prompt, token, word) in enumerate(tokens()):
        context = {
            "prompt_text": PROMPTS[prompt], "token_id": step + 50, "prompt_label": ("benign", "malignant")[prompt],
            "prompt_meta": {"topic": "sea"}, "metrics": {"length": len(word), "is_first": float(token == 0)},
        }  # fmt: skip
        shared = {
            "run_id": "r", "step": step, "prompt": PROMPTS[prompt], "prompt_index": prompt, "token_index": token,
            "token": word, "context": json.dumps(context),
        }  # fmt: skip
        for layer in layers:
            vector = values(layer, width)[step].tolist()
            if scalar:
                made += [
                    {**shared, "layer": layer, "channel": c, "tensor": json.dumps([v])} for c, v in enumerate(vector)
                ]
            else:
                made.append({**shared, "layer": layer, "tensor": json.dumps(vector)})
    return made


def database(path: Path, made: list[Row], *, scalar: bool = True, close: bool = True) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(SCALARS if scalar else VECTORS)
        for row in made:
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO activations ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
            )
        connection.commit()
        if not close:
            (path.parent / "copy.db").write_bytes(path.read_bytes())
            (path.parent / "copy.db-wal").write_bytes(path.with_name(f"{path.name}-wal").read_bytes())
    return path if close else path.parent / "copy.db"


def store_of(path: Path, folder: Path, **options: Any) -> ActivationStore:
    write_store(read_interlatent(path, name=path.name, **options), folder, group=lambda prompts: range(len(prompts)))
    return open_store(folder)


@pytest.mark.parametrize("scalar", [True, False], ids=["a row per scalar", "a row per vector"])
def test_every_value_is_at_its_token(tmp_path: Path, *, scalar: bool) -> None:
    path = database(tmp_path / "runs.db", rows(scalar=scalar), scalar=scalar)
    before = path.read_bytes()
    store = store_of(path, tmp_path / "s", model="tiny")
    assert store.keys == ("resid_pre.0", "resid_pre.2")
    for layer, key in zip(LAYERS, store.keys, strict=True):
        assert np.array_equal(store.dense(key).slice(0, 5), values(layer))
    table = store.rows(["prompt", "position", "token", "token_id"]).to_pylist()
    assert [(row["prompt"], row["position"], row["token"]) for row in table] == tokens()
    assert [row["token_id"] for row in table] == list(range(50, 55))
    assert store.prompts().column("text").to_pylist() == list(PROMPTS)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["runs.db", "s"]


def test_text_labels_stay_text_and_metrics_are_numbers(tmp_path: Path) -> None:
    store = store_of(database(tmp_path / "runs.db", rows()), tmp_path / "s")
    assert {label.name: label.type for label in store.manifest.labels} == {
        "prompt_label": "string",
        "prompt_meta.topic": "string",
    }
    assert store.rows(["label:prompt_label"]).column(0).to_pylist() == ["benign"] * 3 + ["malignant"] * 2
    assert store.rows(["metric:length"]).column(0).to_pylist() == [3, 3, 5, 4, 4]


def test_latents_with_steps_of_their_own_are_joined_by_token(tmp_path: Path) -> None:
    made = rows(layers=("llm.layer.0",))
    for row in rows(layers=("latent_sae:llm.layer.2",), width=3):
        made.append({**row, "step": row["prompt_index"] * 10_000 + row["token_index"]})
    store = store_of(database(tmp_path / "runs.db", made), tmp_path / "s")
    assert store.keys == ("module:latent_sae.llm.layer.2", "resid_pre.0")
    assert np.array_equal(store.dense(store.keys[0]).slice(0, 5), values("latent_sae:llm.layer.2", 3))
    assert np.array_equal(store.dense("resid_pre.0").slice(0, 5), values("llm.layer.0"))


def test_steps_of_a_policy_are_rows_of_an_episode(tmp_path: Path) -> None:
    made = [
        {"run_id": "e", "step": s, "layer": f"net.0:{side}", "channel": c, "tensor": f"[{s + c}.5]",
         "context": json.dumps({"angle": s / 4})}
        for s in range(3) for side in ("pre", "post") for c in range(2)
    ]  # fmt: skip
    incoming = read_interlatent(database(tmp_path / "runs.db", made), name="runs.db")
    assert any("step before" in note for note in incoming.notes)
    store = store_of(tmp_path / "runs.db", tmp_path / "s")
    assert store.keys == ("module:net.0", "module:net.0@in")
    assert store.manifest.row == "step"
    assert store.rows(["position", "metric:angle"]).to_pylist()[2] == {"position": 2, "metric:angle": 0.5}


def test_rows_that_are_still_in_the_log_are_read(tmp_path: Path) -> None:
    path = database(tmp_path / "runs.db", rows(), close=False)
    assert store_of(path, tmp_path / "s").n_rows == 5


@pytest.mark.parametrize(
    ("change", "refusal", "words"),
    [
        (lambda made: made.pop(5), errors.RaggedRows, "step 0, layer 'llm.layer.0' lacks a channel"),
        (lambda made: made.pop(), errors.RaggedRows, "step 4, layer 'llm.layer.2' has 11 channels, not 12"),
        (lambda made: made[3].update(tensor="[1, 2]"), errors.RaggedRows, "step 0, .* not one number"),
        (lambda made: made[3].update(tensor="[]"), errors.RaggedRows, "step 0, .* not one number"),
        (lambda made: made[3].update(tensor="nonsense"), errors.MalformedFile, "step 0, .* not a list of numbers"),
        (lambda made: made[3].update(tensor="[NaN]"), errors.NonFiniteActivations, "resid_pre.0"),
        (lambda made: made[24].update(context="{"), errors.MalformedFile, "step 1, .* context that is not JSON"),
        (lambda made: made[24].update(context="[]"), errors.MalformedFile, "step 1, .* not an object"),
        (lambda made: made[24].update(context='{"metrics": {"a": "b"}}'), errors.MalformedFile, "metrics"),
        (lambda made: made.__delitem__(slice(-12, None)), errors.RowsNotAligned, "'llm.layer.2' does not have there"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: Any, refusal: type[errors.LabError], words: str) -> None:
    made = rows()
    change(made)
    path = database(tmp_path / "runs.db", made)
    with pytest.raises(refusal, match=words):
        store_of(path, tmp_path / "s")


def test_what_is_no_such_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
    (tmp_path / "text.db").write_text("no database " * 100)
    path = database(tmp_path / "runs.db", rows())
    with pytest.raises(errors.MalformedFile, match="no table of activations"):
        read_interlatent(tmp_path / "other.db", name="other.db")
    with pytest.raises(errors.MalformedFile, match="not an SQLite database"):
        read_interlatent(tmp_path / "text.db", name="text.db")
    with pytest.raises(errors.MalformedFile, match=r"llm\.layer\.0, llm\.layer\.2; not llm\.layer\.9"):
        read_interlatent(path, name="runs.db", layers=["llm.layer.9"])
    assert store_of(path, tmp_path / "s", layers=["llm.layer.2"]).keys == ("resid_pre.2",)


@pytest.mark.parametrize(
    ("layer", "address"),
    [
        ("llm.layer.7", "resid_pre.7"),
        ("policy_net.0:pre", "module:policy_net.0@in"),
        ("policy_net.0:post", "module:policy_net.0"),
        ("latent:llm.layer.7", "module:latent.llm.layer.7"),
        ("encoder.layer", "module:encoder.layer"),
    ],
)
def test_a_layer_keeps_a_place_that_says_what_it_is(layer: str, address: str) -> None:
    assert str(address_of(layer)) == address
