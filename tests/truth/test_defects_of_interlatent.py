"""Defects that were found in Interlatent and that no other test names: labels by hash, and a row for every scalar."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from interp_lab.contracts.store import DenseColumn, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter

IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from interp_lab.contracts.query import QueryRequest
from interp_lab.contracts.store import DenseColumn, LabelField, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.query_activations import query_activations

folder, n = Path(sys.argv[1]), 24
column, label = DenseColumn(address=Address("resid_post", 1), width=3), LabelField(name="mood", type="category")
with StoreWriter(folder / "store", StoreHeader(columns=(column,), labels=(label,))) as writer:
    values = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    writer.add(RowBlock({"prompt": np.arange(n), "position": np.zeros(n, int)}, {"resid_post.1": values}))
    moods = [("benign", "malignant", "odd")[i % 3] for i in range(n)]
    writer.finish({"id": list(map(str, range(n))), "text": moods, "group": range(n), "label:mood": moods})
query = {"kind": "associate", "column": "resid_post.1", "targets": ["label:mood"]}
request = QueryRequest.model_validate({"store": "store", "query": query})
answer = query_activations(request, settings=Settings(workspace=folder), publish=lambda result, _: result)
print(answer.model_dump_json(include={"table", "summary"}))
"""


def test_a_text_label_is_the_same_class_in_every_process(tmp_path: Path) -> None:
    answers: list[str] = []
    for seed in ("1", "2"):  # of Python's own hashes of text
        (folder := tmp_path / seed).mkdir()
        command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        answers.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert answers[0] == answers[1]
    targets = {row[1] for row in json.loads(answers[0])["table"]["rows"]}
    assert targets == {f"label:mood={mood}" for mood in ("benign", "malignant", "odd")}


def test_a_stored_scalar_takes_two_bytes_and_no_row_of_its_own(tmp_path: Path) -> None:
    n_rows, width = 4096, 64
    header = StoreHeader(columns=(DenseColumn(address=Address("resid_post", 1), width=width, dtype="bfloat16"),))
    text = "a prompt of a thousand letters, kept once and not in every row " * 16
    with StoreWriter(tmp_path / "store", header) as writer:
        at = np.arange(n_rows)
        rows = {"prompt": at // 64, "position": at % 64, "token": [f"token {i % 99}" for i in range(n_rows)]}
        writer.add(RowBlock(rows, {"resid_post.1": np.ones((n_rows, width), np.float32)}))
        writer.finish({"id": list(map(str, range(64))), "text": [text] * 64, "group": range(64)})
    n_bytes = sum(file.stat().st_size for file in (tmp_path / "store").iterdir())
    assert n_bytes / (n_rows * width) < 2.2
