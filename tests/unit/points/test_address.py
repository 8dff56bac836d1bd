from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from interp_lab.errors import InvalidAddress, LabError, UnknownHookPoint
from interp_lab.points import EXAMPLES, HOOK_POINTS, PATTERN, Address, every_layer, hook_point

LAYERED = [row.name for row in HOOK_POINTS if row.scope == "layer"]
GLOBAL = [row.name for row in HOOK_POINTS if row.scope == "global"]

layered = st.builds(Address, st.sampled_from(LAYERED), st.integers(0, 9999))
global_ = st.builds(Address, st.sampled_from(GLOBAL))
paths = st.from_regex(r"[a-z_][a-z0-9_]{0,8}(\.[a-z0-9_]{1,8}){0,4}", fullmatch=True)
modules = st.builds(Address, st.just("module"), path=paths, side=st.sampled_from(["in", "out"]))
addresses = layered | global_ | modules


@given(addresses)
def test_parsing_the_text_of_an_address_gives_the_same_address(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(addresses, addresses)
def test_two_different_addresses_never_share_a_text(one: Address, other: Address) -> None:
    assume(one != other)
    assert str(one) != str(other)


@given(addresses)
def test_the_schema_pattern_matches_every_address(address: Address) -> None:
    assert re.fullmatch(PATTERN, str(address))


@given(st.text(max_size=40) | st.from_regex(PATTERN, fullmatch=True))
def test_the_schema_pattern_and_the_parser_accept_the_same_texts(text: str) -> None:
    matches = re.fullmatch(PATTERN, text) is not None and not text.endswith("\n")
    try:
        Address.parse(text)
        parses = True
    except LabError:
        parses = False
    assert parses == matches


@pytest.mark.parametrize("row", [row for row in HOOK_POINTS if row.transformer_lens], ids=lambda row: row.name)
def test_a_transformer_lens_name_is_the_same_place_as_ours(row) -> None:
    ours = f"{row.name}.7" if row.scope == "layer" else row.name
    assert Address.parse(row.transformer_lens.format(7)) == Address.parse(ours)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_are_canonical(text: str) -> None:
    assert str(Address.parse(text)) == text


def test_reading_a_module_on_its_output_is_the_default() -> None:
    assert Address.parse("module:a.b@out") == Address.parse("module:a.b") != Address.parse("module:a.b@in")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resid_post", "resid_post.0"),
        ("embed.3", "takes no layer"),
        ("resid_post.-1", "'-1'"),
        ("resid_post.01", "'01'"),
        ("resid_post.3.4", "'3.4'"),
        ("resid_post.ten", "'ten'"),
        ("module:", "dotted module path"),
        ("module:a..b", "dotted module path"),
        ("module:a@both", "@both"),
    ],
)
def test_a_malformed_address_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidAddress, match=re.escape(words)):
        Address.parse(text)


@pytest.mark.parametrize("text", ["residpost.3", "blocks.3.hook_residpost", "blocks.x.hook_resid_post", ""])
def test_an_unknown_name_is_refused_with_known_ones(text: str) -> None:
    with pytest.raises(UnknownHookPoint, match="resid_post"):
        Address.parse(text)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Address("resid_post", 1, path="a"),
        lambda: Address("resid_post", 1, side="in"),
        lambda: Address("resid_post", -1),
        lambda: Address("module", 3, path="a"),
        lambda: Address("module", path="a", side="sideways"),  # type: ignore[arg-type]
    ],
)
def test_an_address_cannot_be_built_with_a_meaningless_coordinate(build) -> None:
    with pytest.raises(InvalidAddress):
        build()


def test_a_field_of_type_address_reads_and_writes_text() -> None:
    adapter = TypeAdapter(dict[Address, list[Address]])
    value = {Address("resid_post", 3): [Address("embed"), Address("module", path="a.b", side="in")]}
    as_json = adapter.dump_json(value)
    assert as_json == b'{"resid_post.3":["embed","module:a.b@in"]}'
    assert adapter.validate_json(as_json) == value == adapter.validate_python(value)


def test_a_wrong_field_is_a_validation_error_that_names_the_remedy() -> None:
    with pytest.raises(ValidationError, match=r"POINT\.LAYER") as caught:
        TypeAdapter(Address).validate_python("resid_post")
    assert [problem["type"] for problem in caught.value.errors()] == ["address"]


def test_the_json_schema_is_a_string_with_the_pattern() -> None:
    schema = TypeAdapter(Address).json_schema()
    assert schema["type"] == "string"
    assert schema["pattern"] == PATTERN


def test_names_and_foreign_names_are_unique() -> None:
    foreign = [row.transformer_lens for row in HOOK_POINTS if row.transformer_lens]
    assert len({row.name for row in HOOK_POINTS}) == len(HOOK_POINTS)
    assert len(set(foreign)) == len(foreign)


def test_every_layer_names_each_layer_once() -> None:
    assert [str(address) for address in every_layer("mlp_out", 3)] == ["mlp_out.0", "mlp_out.1", "mlp_out.2"]


def test_a_row_is_found_by_its_name() -> None:
    assert hook_point("attn_probs").width == "n_heads*pos"
