"""What does not fit the header, is not finite or is too large is refused by name and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.store import DenseColumn, LabelField, MetricField, StoreHeader
from interp_lab.errors import NonFiniteActivations, UnfitRows, ValueOverflow
from interp_lab.points import Address
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.reader import open_store
from interp_lab.store.writer import StoreWriter

KEY, CODES = "resid_post.2", "resid_post.2/sae"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_value_that_is_not_finite_is_refused_with_its_column_prompt_and_position(
    tmp_path: Path, given: Callable, dtype: str, value: float
) -> None:
    data = given(dtype=dtype)
    data.dense[123, 4] = value
    with StoreWriter(tmp_path / "store", data.header) as writer:
        writer.add(data.block(0, 100))
        with pytest.raises(NonFiniteActivations, match=r"resid_post\.2 unit 4 is .* at prompt 12, position 3"):
            writer.add(data.block(100, 200))
        data.dense[123, 4] = 1
        writer.add(data.block(100, 450))
        assert writer.finish(data.prompts).n_rows == 450


def test_a_value_too_large_for_a_half_is_refused_and_fits_a_bfloat16(tmp_path: Path, given: Callable) -> None:
    half, brain = given(dtype="float16"), given(dtype="bfloat16")
    for data in (half, brain):
        data.codes[55, 3] = 70_000
    with (
        StoreWriter(tmp_path / "half", half.header) as writer,
        pytest.raises(ValueOverflow, match=r"resid_post\.2/sae unit 3 is 70000 at prompt 5, position 5"),
    ):
        writer.add(half.block(0, 450))
    store = open_store(brain.write(tmp_path / "brain"))
    assert store.codes(CODES).latent(3, 1).values == pytest.approx([70_000], rel=2**-8)


def test_a_code_that_rounds_to_zero_counts_as_inactive(tmp_path: Path, given: Callable) -> None:
    data = given(dtype="float16")
    data.codes[:] = 0
    data.codes[2, 2], data.codes[4, 2] = 1e-9, 0.5
    store = open_store(data.write(tmp_path / "store"))
    assert store.codes(CODES).counts.sum() == 1
    assert store.codes(CODES).latent(2).rows.tolist() == [4]


def _codes(indptr: list[int], latents: list[int]) -> CodeBlock:
    return CodeBlock(np.array(indptr), np.array(latents, np.int32), np.ones(len(latents), np.float32))


BAD_CODES = {
    "latents 0 to 29": _codes([0, 1, 1], [30]),
    "ascending": _codes([0, 2, 1], [1]),
    "twice": _codes([0, 2, 2], [4, 4]),
    "offsets": _codes([0, 1], [1]),
    "not 3": _codes([0, 1, 3], [1, 2]),
}


@pytest.mark.parametrize("fault", BAD_CODES)
def test_codes_that_are_not_codes_of_the_column_are_refused(tmp_path: Path, given: Callable, fault: str) -> None:
    data = given()
    rows = {"prompt": [0, 0], "position": [0, 1]}
    with StoreWriter(tmp_path / "store", data.header) as writer, pytest.raises(UnfitRows, match=fault):
        writer.add(RowBlock(rows, {KEY: data.dense[:2], CODES: BAD_CODES[fault]}))


def test_the_order_in_which_a_row_lists_its_latents_does_not_matter(tmp_path: Path, given: Callable) -> None:
    data = given()
    rows = {"prompt": [0, 0], "position": [0, 1]}
    shuffled = CodeBlock(np.array([0, 3, 4]), np.array([9, 2, 5, 1]), np.array([0.9, 0.2, 0.5, 0.1], np.float32))
    with StoreWriter(tmp_path / "store", data.header) as writer:
        writer.add(RowBlock(rows, {KEY: data.dense[:2], CODES: shuffled}))
        writer.finish(data.prompts)
    block = open_store(tmp_path / "store").codes(CODES).row_block(0, 2)
    assert block.latents.tolist() == [2, 5, 9, 1]
    np.testing.assert_array_equal(block.values, np.array([0.2, 0.5, 0.9, 0.1], np.float32))


HEADER = StoreHeader(
    columns=(DenseColumn(address=Address("embed"), width=2),),
    metrics=(MetricField(name="loss"),),
    labels=(LabelField(name="spans", type="span", scope="row"), LabelField(name="n", type="integer", scope="row")),
)
GOOD: dict[str, Any] = {
    "prompt": [0, 0],
    "position": [0, 1],
    "metric:loss": [0.5, None],
    "label:spans": [[(0, 3), (5, 9)], None],
    "label:n": [1, 2],
}
BAD_ROWS: dict[str, tuple[dict[str, Any], Any]] = {
    "missing: 'metric:loss'": ({key: GOOD[key] for key in GOOD if key != "metric:loss"}, np.ones((2, 2))),
    "unknown: 'colour'": (GOOD | {"colour": [1, 2]}, np.ones((2, 2))),
    "3 values for 2 rows": (GOOD | {"position": [0, 1, 2]}, np.ones((2, 2))),
    "does not hold int64": (GOOD | {"label:n": ["one", "two"]}, np.ones((2, 2))),
    "no value in 1 rows": (GOOD | {"position": [0, None]}, np.ones((2, 2))),
    "too large for float32": (GOOD | {"metric:loss": [1e39, 0]}, np.ones((2, 2))),
    "does not hold numbers": (GOOD | {"metric:loss": ["high", "low"]}, np.ones((2, 2))),
    r"\(2, 2\) values, not \(2, 3\)": (GOOD, np.ones((2, 3))),
    "codes were given": (GOOD, _codes([0, 0, 0], [])),
}


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_rows_that_do_not_fit_the_header_are_refused_and_leave_nothing(tmp_path: Path, fault: str) -> None:
    rows, values = BAD_ROWS[fault]
    with StoreWriter(tmp_path / "store", HEADER) as writer:
        with pytest.raises(UnfitRows, match=fault):
            writer.add(RowBlock(rows, {"embed": values}))
        writer.add(RowBlock(GOOD, {"embed": np.ones((2, 2), np.float32)}))
        assert writer.finish({"id": ["a"], "text": ["x"], "group": [0]}).n_rows == 2
    table = open_store(tmp_path / "store").rows(["label:spans", "metric:loss"])
    assert table.column("label:spans").to_pylist() == [[[0, 3], [5, 9]], None]
    assert table.column("metric:loss").to_pylist() == [0.5, None]


def test_a_column_that_the_header_does_not_declare_is_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", HEADER) as writer, pytest.raises(UnfitRows, match="header declares"):
        writer.add(RowBlock(GOOD, {"embed": np.ones((2, 2)), "logits": np.ones((2, 2))}))


def test_two_columns_of_one_name_are_refused_by_the_header() -> None:
    column = DenseColumn(address=Address("embed"), width=2)
    with pytest.raises(ValueError, match="two columns"):
        StoreHeader(columns=(column, column))
