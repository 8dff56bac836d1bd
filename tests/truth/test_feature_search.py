"""Searches find what was planted first and its random twin not at all; every number equals plain numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.query import QueryRequest
from interp_lab.errors import DictionaryMismatch, EmptySlice, InvalidRequest, UnknownColumn, UnknownField
from interp_lab.workflows.query_activations import query_activations
from tests.truth.feature_stores import (
    COLUMN,
    DEAD,
    KILO,
    N_LATENTS,
    NEAR_PLANTED,
    PART_OF_PLANTED,
    PLANTED,
    SPORTS,
    SPORTS_TWIN,
    TWIN,
    Planted,
    make_planted,
    rows_of,
    unit_of,
    write_dictionary,
)

CLOSE = {"rtol": 6e-4, "atol": 1e-6}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return make_planted(tmp_path_factory.mktemp("search"))


def _phrase_rows(planted: Planted, phrase: str) -> np.ndarray:
    inside = np.zeros(planted.token.size, dtype=bool)
    for prompt in np.unique(planted.prompt):
        rows = np.flatnonzero(planted.prompt == prompt)
        text, owner = "", []
        for row in rows:
            text += planted.token[row]
            owner += [row] * len(planted.token[row])
        for start in range(len(text)):
            if text.startswith(phrase, start):
                inside[owner[start : start + len(phrase)]] = True
    return inside


def _matches(planted: Planted, by: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    every = np.ones(planted.token.size, dtype=bool)
    if by["kind"] == "tokens":
        return np.isin(planted.token, by["one_of"]), every
    if by["kind"] == "text":
        return _phrase_rows(planted, by["phrase"]), every
    if by["label"] == "label:sports":
        return planted.sports, every
    return planted.mood == by["value"], planted.mood != ""


BY_ROWS: list[dict[str, Any]] = [
    {"kind": "tokens", "one_of": [KILO]},
    {"kind": "tokens", "one_of": [f" w{i}" for i in range(15)]},
    {"kind": "text", "phrase": "kilo w1"},
    {"kind": "label", "label": "label:sports"},
    {"kind": "label", "label": "label:mood", "value": "calm"},
]


@pytest.mark.parametrize("by", BY_ROWS, ids=lambda by: json.dumps(by)[:50])
def test_every_number_of_a_search_by_rows_equals_numpy(planted: Planted, by: dict[str, Any]) -> None:
    matching, known = _matches(planted, by)
    result = planted.search(by, limit=100)
    fires = planted.codes > 0
    phis = []
    for row in rows_of(result):
        active = fires[known, unit_of(row)]
        match = matching[known]
        assert (row["both"], row["active"]) == ((active & match).sum(), active.sum())
        inside, outside = active[match].mean(), active[~match].mean()
        wanted = [np.corrcoef(active, match)[0, 1], match[active].mean() / match.mean(), inside, outside]
        np.testing.assert_allclose([row[n] for n in ("phi", "lift", "rate_in", "rate_out")], wanted, **CLOSE)
        np.testing.assert_allclose(row["auroc"], roc_auc_score(match, planted.codes[known, unit_of(row)]), **CLOSE)
        assert row["low"] <= row["auroc"] <= row["high"]
        phis.append(row["phi"])
    assert phis == sorted(phis, reverse=True)
    assert result.searched == N_LATENTS
    assert result.facts["matched"][0]["rows"] == (matching & known).sum()
    assert result.facts["matched"][0]["groups"] == np.unique(planted.group[matching & known]).size


def test_the_planted_token_latent_is_found_first_and_its_twin_is_not(planted: Planted) -> None:
    rows = rows_of(planted.search({"kind": "tokens", "one_of": [KILO]}, limit=100))
    assert [unit_of(row) for row in rows[:2]] == [PLANTED, PART_OF_PLANTED]
    assert rows[0]["q"] < 1e-4
    assert rows[0]["rate_out"] == 0
    twin = [row for row in rows if unit_of(row) == TWIN]
    assert all(row["phi"] < 0.15 and row["q"] > 0.05 for row in twin)


def test_a_pattern_finds_what_the_list_of_tokens_finds(planted: Planted) -> None:
    listed = planted.search({"kind": "tokens", "one_of": [KILO]})
    assert planted.search({"kind": "tokens", "matches": "^ ki"}).table == listed.table


def test_the_planted_label_latent_is_found_first_and_its_twin_is_not(planted: Planted) -> None:
    rows = rows_of(planted.search({"kind": "label", "label": "label:sports"}, limit=100))
    assert unit_of(rows[0]) == SPORTS
    assert rows[0]["q"] < 1e-4
    twin = [row for row in rows if unit_of(row) == SPORTS_TWIN]
    assert all(row["q"] > 0.05 for row in twin)


def test_nothing_follows_a_label_that_was_dealt_at_random(planted: Planted) -> None:
    rows = rows_of(planted.search({"kind": "label", "label": "label:mood", "value": "angry"}, limit=100))
    assert all(row["q"] > 0.05 for row in rows)


def test_q_is_never_below_that_of_the_query_over_all_latents(planted: Planted) -> None:
    query = {"kind": "associate", "column": COLUMN, "targets": ["label:sports"]}
    request = QueryRequest.model_validate({"store": "store", "query": query, "limit": 100})
    answer = query_activations(request, settings=planted.settings, publish=lambda result, _: result)
    names = [header.name for header in answer.table.headers]
    exact = {row[0]: dict(zip(names, row, strict=True)) for row in answer.table.rows}
    for row in rows_of(planted.search({"kind": "label", "label": "label:sports"}, limit=100)):
        same = exact[unit_of(row)]
        assert row["q"] >= same["q"] * 0.999
        for name, other in (("auroc", "estimate"), ("low", "low"), ("high", "high")):
            np.testing.assert_allclose(row[name], same[other], **CLOSE)


def test_density_equals_numpy_and_finds_the_dead(planted: Planted) -> None:
    rates = (planted.codes > 0).mean(axis=0)
    result = planted.search({"kind": "density", "at_least": 0.03, "at_most": 0.2}, limit=100)
    inside = [unit for unit in range(N_LATENTS) if 0.03 <= rates[unit] <= 0.2]
    assert {unit_of(row) for row in rows_of(result)} == set(inside)
    for row in rows_of(result):
        np.testing.assert_allclose(row["rate"], rates[unit_of(row)], **CLOSE)
    dead = rows_of(planted.search({"kind": "density", "at_most": 0.0}))
    assert [unit_of(row) for row in dead] == [DEAD]


def test_a_latent_finds_its_neighbours_and_never_itself(planted: Planted) -> None:
    rows = rows_of(planted.search({"kind": "latent", "unit": PLANTED}, stores=[], dictionaries=["sae"], limit=100))
    decoder = planted.decoder.astype(float)
    lengths = np.linalg.norm(decoder, axis=1)
    cosines = decoder @ decoder[PLANTED] / (lengths * lengths[PLANTED])
    assert rows[0]["unit"] == NEAR_PLANTED
    assert PLANTED not in {row["unit"] for row in rows}
    assert len(rows) == N_LATENTS - 1
    np.testing.assert_allclose([row["cosine"] for row in rows], [cosines[row["unit"]] for row in rows], **CLOSE)
    sizes = [abs(row["cosine"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)


def _save_direction(folder: Path, **tensors: np.ndarray) -> None:
    folder.mkdir()
    save_file({name: value.astype(np.float32) for name, value in tensors.items()}, folder / "direction.safetensors")
    (folder / "direction.json").write_text(json.dumps({"address": "resid_post.1"}))


def test_a_saved_direction_finds_the_latent_that_it_was_made_from(planted: Planted) -> None:
    folder = planted.folder.parent / "direction"
    noise = np.random.default_rng(4).normal(size=16)
    _save_direction(folder, directions=np.stack([noise, -3 * planted.decoder[20]]), mean_difference=planted.decoder[21])
    search = {"kind": "direction", "direction": "direction"}
    found = planted.search(search | {"output": 1}, stores=[], dictionaries=["sae"])
    assert rows_of(found)[0]["unit"] == 20
    np.testing.assert_allclose(rows_of(found)[0]["cosine"], -1, **CLOSE)
    assert found.warnings == ()
    difference = planted.search(search | {"tensor": "mean_difference"}, stores=[], dictionaries=["sae"])
    assert rows_of(difference)[0]["unit"] == 21
    random = rows_of(planted.search(search, stores=[], dictionaries=["sae"]))
    assert abs(random[0]["cosine"]) < 0.95


def test_several_dictionaries_are_ranked_together_and_the_unfit_are_named(planted: Planted) -> None:
    workspace = planted.folder.parent
    copy = planted.decoder[::-1].copy()
    write_dictionary(workspace / "turned", copy.T, copy)
    write_dictionary(workspace / "narrow", np.ones((4, 5)), np.ones((5, 4)))
    names = ["sae", "narrow", "turned"]
    result = planted.search({"kind": "latent", "unit": PLANTED}, stores=[], dictionaries=names)
    best = rows_of(result)[0]
    assert (best["dictionary"], best["unit"]) == (2, N_LATENTS - 1 - PLANTED)
    np.testing.assert_allclose(best["cosine"], 1, **CLOSE)
    assert "[1]" in result.warnings[0]
    with pytest.raises(DictionaryMismatch):
        planted.search({"kind": "latent", "unit": 1, "dictionary": "sae"}, stores=[], dictionaries=["narrow"])


def test_two_stores_are_searched_together(planted: Planted) -> None:
    other = make_planted(planted.folder.parent / "second", seed=9, shard_rows=100)
    result = planted.search({"kind": "tokens", "one_of": [KILO]}, stores=["store", "second/store"], limit=100)
    rows = rows_of(result)
    assert result.searched == 2 * N_LATENTS
    assert {(row["store"], unit_of(row)) for row in rows[:2]} == {(0, PLANTED), (1, PLANTED)}
    second = next(row for row in rows if row["store"] == 1)
    assert second["both"] == (other.codes[other.token == KILO, PLANTED] > 0).sum()


def test_a_search_that_cannot_tell_anything_apart_is_refused(planted: Planted) -> None:
    with pytest.raises(EmptySlice, match="No row"):
        planted.search({"kind": "tokens", "one_of": [" nowhere"]})
    with pytest.raises(EmptySlice, match="Every row"):
        planted.search({"kind": "tokens", "matches": "."})
    with pytest.raises(InvalidRequest):
        planted.search({"kind": "tokens"})
    with pytest.raises(InvalidRequest):
        planted.search({"kind": "tokens", "one_of": [KILO]}, stores=[])
    with pytest.raises(InvalidRequest):
        planted.search({"kind": "latent", "unit": 1})
    with pytest.raises(InvalidRequest):
        planted.search({"kind": "label", "label": "label:mood"})
    with pytest.raises(UnknownField):
        planted.search({"kind": "label", "label": "label:nothing"})
    with pytest.raises(UnknownColumn):
        planted.search({"kind": "density"}, columns=["resid_post.9/sae"])
