"""A store as activation records: what is read back is what was written, and what cannot be a record is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab import errors
from interp_lab.store.interchange.incoming import write_store
from interp_lab.store.interchange.records import read_records
from interp_lab.store.interchange.records_out import write_records
from interp_lab.store.reader import ActivationStore, open_store
from tests.unit.store.interchange.stores import CODES, DENSE, LATENTS, WIDTH, codes, dense, make_store


def written(store: ActivationStore, **options: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    options.setdefault("keys", store.keys)
    counted = write_records(store, file, **options)
    lines = [json.loads(text) for text in file.getvalue().splitlines()]
    assert counted.n_written == len(lines)
    return lines


def back(folder: Path, lines: list[dict[str, Any]]) -> ActivationStore:
    file = io.BytesIO("\n".join(json.dumps(line) for line in lines).encode())
    write_store(read_records(file, name="back.jsonl"), folder, group=lambda prompts: range(len(prompts)))
    return open_store(folder)


def test_token_records_give_the_store_back(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    again = back(tmp_path / "t", written(store, pooling="token", units=range(WIDTH)))
    assert again.keys == (DENSE, CODES)
    assert np.array_equal(dense(again), dense(store))
    assert np.array_equal(codes(again), codes(store)[:, :WIDTH])
    names = ["prompt", "position", "token"]
    assert again.rows(names).to_pylist() == store.rows(names).to_pylist()
    names = ["id", "text", "score", "label:topic"]
    assert again.prompts().select(names).to_pylist() == store.prompts().select(names).to_pylist()


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
def test_a_prompt_is_pooled_over_its_own_tokens_without_special_ones(tmp_path: Path, pooling: str) -> None:
    store = make_store(tmp_path / "s", lengths=(3, 6))
    again = back(tmp_path / "t", written(store, keys=[DENSE], pooling=pooling))
    parts = [dense(store)[1:3], dense(store)[4:9]]
    pool = {"max": lambda x: x.max(0), "mean": lambda x: x.mean(0), "last": lambda x: x[-1]}[pooling]
    assert np.array_equal(dense(again), np.array([pool(part) for part in parts]))


def test_every_record_names_every_chosen_unit_zeros_too(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    lines = written(store, keys=[CODES])
    firing = codes(store).any(axis=0).sum()
    assert {len(line["features"]) for line in lines} == {firing}
    assert firing < LATENTS
    assert any(value == 0 for line in lines for value in line["features"].values())
    assert all(name.startswith("SAE:L2:F") for line in lines for name in line["features"])


def test_what_is_said_of_a_feature_is_said_once(tmp_path: Path) -> None:
    first, *others = written(make_store(tmp_path / "s"), keys=[DENSE])
    assert first["feature_metadata"]["L2:D0"]["layer"] == 2
    assert first["feature_metadata"]["L2:D0"]["hook_name"] == "blocks.1.hook_resid_post"
    assert not any(line["feature_metadata"] for line in others)


def test_what_cannot_be_a_record_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    with pytest.raises(errors.ExportUnfit, match="'p0' has no score"):
        written(make_store(tmp_path / "unscored", scored=False))
    with pytest.raises(errors.RowOutOfRange, match="units 0 to 4; 5"):
        written(store, keys=[DENSE], units=[5])
    with pytest.raises(errors.UnknownColumn):
        written(store, keys=["resid_post.9"])
    with pytest.raises(errors.ExportUnfit, match="only special tokens"):
        written(make_store(tmp_path / "bos", lengths=(1, 2)))


def test_more_numbers_than_text_should_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_lab.store.interchange.records_out.MAX_VALUES", 9)
    with pytest.raises(errors.ExportUnfit, match="more than 9 numbers"):
        written(make_store(tmp_path / "s"), keys=[DENSE])
