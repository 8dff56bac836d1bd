from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from interp_lab_server.lines import mend, refusal

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "x", "arguments": {}}}


@given(st.text())
def test_a_message_that_can_be_read_is_passed_on_as_it_is(text: str) -> None:
    line = json.dumps({**CALL, "params": {"text": text}})
    assert mend(line) == line


@given(st.integers(0xD800, 0xDFFF))
def test_half_an_emoji_becomes_a_replacement_character(code: int) -> None:
    line = json.dumps({**CALL, "params": {"text": "a", "key": [f"x\\u{code:04x}"]}}).replace("\\\\u", "\\u")
    mended = mend(line)
    assert mended is not None
    assert json.loads(mended)["params"]["key"] == ["x\ufffd"]
    assert json.loads(mended)["id"] == 7


def test_what_is_no_json_is_answered_with_a_parse_error_to_the_id_that_can_be_seen() -> None:
    line = json.dumps(CALL)[:-3]
    assert mend(line) is None
    answer = json.loads(refusal(line))
    assert answer["error"]["code"] == -32700
    assert answer["id"] == 7


def test_what_is_nested_too_deeply_is_answered() -> None:
    line = '{"jsonrpc":"2.0","id":"a\\"b","method":"x","params":{"v":' + "[" * 50_000 + "]" * 50_000 + "}}"
    assert mend(line) is None
    answer = json.loads(refusal(line))
    assert answer["error"]["code"] == -32700
    assert answer["id"] == 'a"b'


def test_json_that_is_no_message_is_answered_as_an_invalid_request() -> None:
    for line in ("[]", "3", '{"id":3}', "[1,2]", json.dumps([CALL])):
        assert mend(line) is None
        assert json.loads(refusal(line))["error"]["code"] == -32600


@given(st.text(max_size=300))
def test_every_line_is_served_or_answered(line: str) -> None:
    if mend(line) is None:
        assert json.loads(refusal(line))["error"]["code"] in {-32700, -32600}
