"""Records that repeat what they say of every feature, read by comparing bytes: they mean what parsing says."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import MalformedFile
from interp_lab.store.interchange.line_buffer import Line
from interp_lab.store.interchange.record_mould import Mould
from interp_lab.store.interchange.record_table import read_record_table

ROW = [round(0.1 * k, 6) for k in range(40)]


def record(number: int, activations: list[Any], *, metadata: bool = True, **changes: Any) -> dict[str, Any]:
    names = [f"SAE:L1:F{place}" for place in range(len(activations))]
    features = [
        {"activation": value, "decoder_signature": ROW, "feature_id": name, "layer": 1}
        for name, value in zip(names, activations, strict=True)
    ]
    said = {name: {"label": f"latent {place}", "source": "trained"} for place, name in enumerate(names)}
    whole = {"model": "m", "prompt_id": f"p{number}", "text": f"text {number}", "criterion_score": number % 2}
    return {**whole, "features": features} | ({"feature_metadata": said} if metadata else {}) | changes


def lines(records: list[dict[str, Any]], **how: Any) -> list[bytes]:
    return [json.dumps(each, **how).encode() + b"\n" for each in records]


def placed(line: bytes, *, before: bytes = b"", after: bytes = b"") -> Line:
    return Line(1, bytearray(before + line + after), len(before), len(before) + len(line))


def mould_of(line: bytes) -> Mould:
    made = Mould.of(line, json.loads(line))
    assert made is not None
    return made


@pytest.mark.parametrize("how", [{"sort_keys": True}, {}, {"separators": (",", ":")}])
@pytest.mark.parametrize("metadata", [True, False])
@given(values=st.lists(st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=3), min_size=2, max_size=4))
def test_the_bytes_between_values_stand_for_what_parsing_gives(
    values: list[list[float]], how: dict[str, Any], metadata: bool
) -> None:
    records = [record(number, row, metadata=metadata) for number, row in enumerate(values)]
    written = lines(records, **how)
    mould = mould_of(written[0])
    for line, was in zip(written, records, strict=True):
        found = mould.read(placed(line, before=written[0], after=written[-1]))
        assert found is not None
        rest, numbers = found
        assert numbers.tolist() == [each["activation"] for each in was["features"]]
        assert {**rest, "features": 0, "feature_metadata": 0} == {**was, "features": 0, "feature_metadata": 0}


@pytest.mark.parametrize(
    "changed",
    [
        {"features": record(1, [1.0, 2.0])["features"]},
        {"features": record(1, [1.0, "2.0", 3.0])["features"]},
        {"features": record(1, [1.0, None, 3.0])["features"]},
        {"features": list(reversed(record(1, [1.0, 2.0, 3.0])["features"]))},
        {"features": [{**each, "decoder_signature": [0.5]} for each in record(1, [1.0, 2.0, 3.0])["features"]]},
        {"feature_metadata": {"SAE:L1:F0": {"label": "another"}}},
        {"metadata": {"features": []}},
    ],
)
def test_a_line_that_says_anything_else_of_its_features_is_left_to_parsing(changed: dict[str, Any]) -> None:
    first, other = lines([record(0, [1.0, 2.0, 3.0]), record(1, [4.0, 5.0, 6.0]) | changed], sort_keys=True)
    assert mould_of(first).read(placed(first)) is not None
    assert mould_of(first).read(placed(other)) is None


def test_features_inside_something_else_are_not_those_of_the_record() -> None:
    first, other = lines([record(0, [1.0, 2.0, 3.0], metadata=False), record(1, [7.0, 8.0, 9.0], metadata=False)])
    start, end = other.index(b', "features"'), other.rindex(b"}")
    inside = other[:start] + b', "f\\u0065atures": [], "metadata": {' + other[start + 2 : end] + b"}}\n"
    assert json.loads(inside)["features"] == []
    assert mould_of(first).read(placed(other)) is not None
    assert mould_of(first).read(placed(inside)) is None


def test_what_follows_a_line_in_memory_is_no_part_of_it() -> None:
    first, other = lines([record(0, [1.0, 2.0, 3.0]), record(1, [4.0, 5.0, 6.0])], sort_keys=True)
    for cut in range(0, len(other), 97):
        assert mould_of(first).read(placed(other[:cut], after=other[cut:])) is None
    assert mould_of(first).read(placed(other, after=other)) is not None


def test_text_that_looks_like_a_feature_is_text() -> None:
    shown = 'he wrote "features": [{"activation": 7, "feature_metadata": {} }] and left'
    first, second = lines([record(n, [1.0, 2.0, 3.0], text=shown) for n in range(2)], sort_keys=True)
    found = mould_of(first).read(placed(second))
    assert found is not None
    assert found[0]["text"] == shown
    assert found[1].tolist() == [1.0, 2.0, 3.0]


def test_short_records_and_tables_of_names_have_no_mould() -> None:
    plain = {"model": "m", "text": "t", "criterion_score": 1, "features": {f"L1:D{n}": 0.5 for n in range(9)}}
    assert Mould.of(*((line := lines([plain])[0]), json.loads(line))) is None
    short = plain | {"features": [{"feature_id": f"L1:D{n}", "activation": 0.5} for n in range(9)]}
    assert Mould.of(*((line := lines([short])[0]), json.loads(line))) is None


def test_a_table_of_moulded_lines_is_that_of_parsed_ones_whatever_stands_between_them() -> None:
    rng = np.random.default_rng(0)
    records = [record(n, rng.normal(size=4).round(6).tolist()) for n in range(6)]
    records[3]["feature_metadata"] = {}
    written = lines(records, sort_keys=True)
    written[4] = json.dumps(records[4]).encode() + b"\n"
    table = read_record_table(io.BytesIO(b"".join(written)), name="r.jsonl", model="m")
    assert table.values.tolist() == [[np.float32(each["activation"]) for each in one["features"]] for one in records]
    assert [one.id for one in table.records] == [f"p{n}" for n in range(6)]
    assert table.metadata["SAE:L1:F2"]["decoder_signature"] == ROW


@pytest.mark.parametrize("bad", ["1e999", "NaN", "01", "1 2", "1e39"])
def test_a_value_that_is_no_number_of_float32_is_named_with_its_line(bad: str) -> None:
    first, second = lines([record(0, [1.0, 2.0, 3.0]), record(1, [4.0, 5.25, 6.0])], sort_keys=True)
    data = first + second.replace(b"5.25", bad.encode())
    with pytest.raises(MalformedFile, match="line 2"):
        read_record_table(io.BytesIO(data), name="r.jsonl", model="m")
