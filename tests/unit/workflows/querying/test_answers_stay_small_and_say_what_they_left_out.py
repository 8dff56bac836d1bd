"""An answer about a store with many labels stays within the limit and says what it does not show; a draw is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.query import QueryRequest, QueryResult
from interp_lab.contracts.store import DenseColumn, LabelField, MetricField, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.query_activations import query_activations
from interp_lab_tools.limits import ANSWER_CHARS

N = 400


def ask(folder: Path, n_names: int, **request: Any) -> QueryResult:
    columns = tuple(DenseColumn(address=Address("module", path=f"layer{i}." + "x" * 90), width=1) for i in range(100))
    labels = tuple(LabelField(name="l" * 60 + str(i), type="string", scope="row") for i in range(n_names))
    metrics = tuple(MetricField(name="m" * 80 + str(i), unit="u" * 50) for i in range(n_names))
    rng = np.random.default_rng(0)
    rows: dict[str, Any] = {"prompt": np.repeat(np.arange(N // 4), 4), "position": np.tile(np.arange(4), N // 4)}
    rows |= {f"label:{each.name}": ["v" * 60 + str(k) for k in rng.integers(0, 9, N)] for each in labels}
    rows |= {f"metric:{each.name}": rng.normal(size=N) for each in metrics}
    with StoreWriter(folder / "s", StoreHeader(columns=columns, labels=labels, metrics=metrics)) as writer:
        writer.add(RowBlock(rows, {each.key: rng.normal(size=(N, 1)) for each in columns}))
        names = [str(i) for i in range(N // 4)]
        writer.finish({"id": names, "text": names, "group": range(N // 4)})
    asked = QueryRequest.model_validate({"store": "s", **request})
    return query_activations(asked, settings=Settings(workspace=folder), publish=lambda result, _: result)


@pytest.mark.parametrize(("n_names", "told"), [(60, True), (2, False)])
def test_an_overview_fits_and_tells_whether_it_describes_everything(tmp_path: Path, n_names: int, told: bool) -> None:
    result = ask(tmp_path, n_names, query="overview", limit=100)
    assert len(result.model_dump_json()) <= ANSWER_CHARS
    assert any("not described" in warning for warning in result.warnings) == told
    listed = [*result.facts["metrics"], *result.facts["labels"]]  # type: ignore[misc]
    assert (len(listed) < 2 * n_names) == told
    assert bool(result.facts["others"]) == told


def test_a_difference_says_that_slice_b_is_a_draw_even_where_a_is_whole(tmp_path: Path) -> None:
    query = {"kind": "difference", "column": "module:layer0." + "x" * 90, "b": {}}
    few = {"where": [{"field": "position", "at_most": 0}]}
    result = ask(tmp_path, 0, query={**query, "a": few}, sample_rows=150)
    assert "Of slice b, 150 of 400 rows were drawn at random." in result.warnings
