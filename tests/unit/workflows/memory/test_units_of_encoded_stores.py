"""A latent is one unit, whether a run read it from the model or from a store that was encoded before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from interp_lab.contracts.store import CodeColumn, StoredModel, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.memory.history import read_history
from interp_lab.workflows.memory.units import coordinate_ids
from tests.unit.workflows.memory.past_runs import card, inspect_report, publish, publish_files, workspace

FILES = {"cfg.json": "{}", "sae_weights.safetensors": "weights"}
CONTENT = hashlib.sha256(b"".join(hashlib.sha256(text.encode()).digest() for text in FILES.values())).hexdigest()
COLUMN = "resid_post.2/sae"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def write_store(folder: Path, dictionary_id: str) -> None:
    column = CodeColumn(address=Address.parse("resid_post.2"), dictionary="sae", width=8, dictionary_id=dictionary_id)
    rows = {"prompt": np.arange(2), "position": np.zeros(2, int), "token": ["a", "b"], "special": [False] * 2}
    block = CodeBlock(np.array([0, 1, 2]), np.array([0, 1], np.int32), np.ones(2, np.float32))
    with StoreWriter(folder, StoreHeader(model=StoredModel(id="m"), columns=(column,))) as writer:
        writer.add(RowBlock(rows, {column.key: block}))
        writer.finish({"id": ["p", "q"], "text": ["a", "b"], "group": [0, 1], "score": [0.0, 1.0]})


def ids(settings: Settings) -> list[set[str]]:
    return [set(coordinate_ids(run).values()) for run in read_history(settings).runs]


def test_a_latent_of_a_store_is_the_latent_of_its_dictionary(settings: Settings) -> None:
    dictionary = publish_files(settings, "dictionary", FILES)
    write_store(settings.workspace / "store", CONTENT)
    asked = {"dictionaries": [dictionary]}
    publish(settings, inspect_report([card(1, 5, "weak", address="resid_post.2/topk-8")]), request=asked)
    stored = {"evidence": "store:store"}
    publish(settings, inspect_report([card(1, 5, "weak", address=COLUMN)], seed=1), request=stored, at=1)
    assert ids(settings) == [{f"{dictionary}#5"}, {f"{dictionary}#5"}]


def test_a_dictionary_that_is_not_here_is_known_by_its_content(settings: Settings) -> None:
    publish_files(settings, "dictionary", FILES | {"cfg.json": "{ }"})
    write_store(settings.workspace / "store", CONTENT)
    stored = {"evidence": {"kind": "store", "store": "store"}}
    publish(settings, inspect_report([card(1, 5, "weak", address=COLUMN)]), request=stored)
    assert ids(settings) == [{f"{CONTENT}#5"}]


@pytest.mark.parametrize("evidence", ["store:gone", "store:" + "e" * 64, "records:r.jsonl", 7, "store:../out"])
def test_a_column_whose_dictionary_cannot_be_told_keeps_its_name(settings: Settings, evidence: object) -> None:
    publish(settings, inspect_report([card(1, 5, "weak", address=COLUMN)]), request={"evidence": evidence})
    assert ids(settings) == [{f"{COLUMN}#5"}]
