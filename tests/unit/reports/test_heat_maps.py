from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.inspect import Context, ContextToken
from interp_lab.reports.heat import DIGITS, STEPS, heat, scale_of, strongest_index, strongest_token, windowed
from interp_lab.reports.visible import visible

TOKENS = st.builds(
    ContextToken,
    text=st.text(max_size=12),
    value=st.floats(-1e6, 1e6).map(lambda value: round(value, 6)),
    in_span=st.booleans(),
)
CONTEXTS = st.builds(
    Context,
    prompt_id=st.just("p"),
    positive=st.booleans(),
    pooled=st.just(1.0),
    truncated_before=st.integers(0, 50),
    truncated_after=st.integers(0, 50),
    tokens=st.lists(TOKENS, max_size=40).map(tuple),
)
SIGNS: st.SearchStrategy[Literal[-1, 1]] = st.sampled_from((-1, 1))


def context(*values: float, pooled: float = 1.0) -> Context:
    tokens = tuple(ContextToken(text=f" t{place}", value=value) for place, value in enumerate(values))
    return Context(prompt_id="p", positive=True, pooled=pooled, tokens=tokens)


def decoded(text: str, code: str, largest: float) -> list[tuple[str, float, bool]]:
    """Return text, value and span of every token, read as the page's script reads them."""
    units = text.encode("utf-16-le")
    found: list[tuple[str, float, bool]] = []
    start = 0
    for place in range(0, len(code), 3):
        length, high, low = (DIGITS.index(digit) for digit in code[place : place + 3])
        bits = high * 64 + low
        token = units[2 * start : 2 * (start + length)].decode("utf-16-le")
        found.append((token, ((bits >> 1) - STEPS - 1) / STEPS * largest, bool(bits & 1)))
        start += length
    assert 2 * start == len(units)
    return found


@given(CONTEXTS, SIGNS)
def test_a_coded_context_reads_back_as_its_tokens(given_context: Context, sign: Literal[-1, 1]) -> None:
    scale = scale_of([given_context])
    shown = heat(given_context, windowed(given_context, sign, None), sign, scale)
    read = decoded(shown.before + shown.strongest + shown.after, shown.code, scale.largest)
    assert len(read) == len(given_context.tokens)
    for (text, value, in_span), token in zip(read, given_context.tokens, strict=True):
        assert text == visible(token.text) or text.endswith("…")
        assert value == pytest.approx(token.value, abs=scale.largest / STEPS / 2 + 1e-9)
        assert in_span == token.in_span


@given(CONTEXTS, SIGNS, st.integers(1, 20))
def test_a_window_keeps_the_strongest_token_and_counts_what_it_leaves_out(
    given_context: Context, sign: Literal[-1, 1], width: int
) -> None:
    window = windowed(given_context, sign, width)
    shown = heat(given_context, window, sign, scale_of([given_context]))
    total = given_context.truncated_before + len(given_context.tokens) + given_context.truncated_after
    kept = len(given_context.tokens[window])
    assert kept == min(width, len(given_context.tokens))
    assert shown.left_before + kept + shown.left_after == total
    if given_context.tokens:
        assert window.start <= strongest_index(given_context.tokens, sign) < window.stop


def test_a_token_longer_than_the_code_can_count_is_cut_in_sight() -> None:
    token = ContextToken(text="😀" * 200, value=1.0)
    long = Context(prompt_id="p", positive=True, pooled=1.0, tokens=(token,))
    shown = heat(long, slice(0, 1), 1, scale_of([long]))
    assert shown.strongest.endswith("…")
    assert decoded(shown.strongest, shown.code, 1.0)[0][0] == shown.strongest


@pytest.mark.parametrize(
    ("values", "sign", "place"),
    [
        ((0.1, 3.0, -9.0), 1, 1),
        ((0.1, 3.0, -9.0), -1, 2),
        ((0.0, 2.0, 1.0), -1, 1),
        ((-3.0, -1.0), 1, 0),
    ],
)
def test_the_strongest_token_lies_in_the_direction_found_if_any_does(
    values: tuple[float, ...], sign: int, place: int
) -> None:
    assert strongest_index(context(*values).tokens, sign) == place


def test_one_outlier_does_not_wash_out_the_colours_of_the_rest() -> None:
    usual = scale_of([context(*([1.0, 2.0, 3.0] * 10))])
    outlier = scale_of([context(*([1.0, 2.0, 3.0] * 10), 3000.0)])
    assert usual.saturation == usual.largest == 3.0
    assert outlier.largest == 3000.0
    assert outlier.saturation < 10.0


def test_silent_contexts_have_no_scale_and_no_strongest_token_by_accident() -> None:
    silent = context(0.0, 0.0)
    assert scale_of([silent]) == (0.0, 0.0, False)
    assert [value for _, value, _ in decoded(" t0 t1", heat(silent, slice(0, 2), 1, scale_of([silent])).code, 0.0)] == [
        0.0,
        0.0,
    ]


def test_the_top_token_comes_from_the_first_context(make_report) -> None:
    card = make_report(n=1).coordinates[0]
    first = card.contexts[0].tokens
    assert strongest_token(card) == first[strongest_index(first, card.sign)].text
    assert strongest_token(card.model_copy(update={"contexts": ()})) == ""
