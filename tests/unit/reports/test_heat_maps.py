from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interp_lab.contracts.inspect_report import Context, ContextToken, InspectReport
from interp_lab.reports.heat import DIGITS, STEPS, heat, scale_of, strongest_token, windowed
from interp_lab.reports.html import render_html
from interp_lab.reports.visible import visible

TOKENS = st.builds(
    ContextToken,
    text=st.text(max_size=12),
    value=st.floats(-1e6, 1e6).map(lambda value: round(value, 6)),
    in_span=st.booleans(),
)
CONTEXTS = st.lists(TOKENS, min_size=1, max_size=40).flatmap(
    lambda tokens: st.builds(
        Context,
        prompt_id=st.just("p"),
        positive=st.booleans(),
        pooled=st.just(1.0),
        truncated_before=st.integers(0, 50),
        truncated_after=st.integers(0, 50),
        tokens=st.just(tuple(tokens)),
        peak=st.integers(0, len(tokens) - 1),
    )
)


def context(*values: float, peak: int = 0) -> Context:
    tokens = tuple(ContextToken(text=f" t{place}", value=value) for place, value in enumerate(values))
    return Context(prompt_id="p", positive=True, pooled=1.0, tokens=tokens, peak=peak)


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


@given(CONTEXTS)
def test_a_coded_context_reads_back_as_its_tokens(given_context: Context) -> None:
    scale = scale_of([given_context])
    shown = heat(given_context, windowed(given_context, None), scale)
    read = decoded(shown.before + shown.at_peak + shown.after, shown.code, scale.largest)
    assert len(read) == len(given_context.tokens)
    for (text, value, in_span), token in zip(read, given_context.tokens, strict=True):
        assert text == visible(token.text) or text.endswith("…")
        assert value == pytest.approx(token.value, abs=scale.largest / STEPS / 2 + 1e-9)
        assert in_span == token.in_span


@given(CONTEXTS, st.integers(1, 20))
def test_a_window_keeps_the_peak_and_counts_what_it_leaves_out(given_context: Context, width: int) -> None:
    window = windowed(given_context, width)
    shown = heat(given_context, window, scale_of([given_context]))
    total = given_context.truncated_before + len(given_context.tokens) + given_context.truncated_after
    kept = len(given_context.tokens[window])
    assert kept == min(width, len(given_context.tokens))
    assert shown.left_before + kept + shown.left_after == total
    assert window.start + shown.peak == given_context.peak
    assert window.start <= given_context.peak < window.stop


def test_a_token_longer_than_the_code_can_count_is_cut_in_sight() -> None:
    token = ContextToken(text="😀" * 200, value=1.0)
    long = Context(prompt_id="p", positive=True, pooled=1.0, tokens=(token,), peak=0)
    shown = heat(long, slice(0, 1), scale_of([long]))
    assert shown.at_peak.endswith("…")
    assert decoded(shown.at_peak, shown.code, 1.0)[0][0] == shown.at_peak


def test_the_peak_is_the_records_and_not_the_token_of_the_largest_value() -> None:
    shown = heat(context(9.0, 1.0, 2.0, peak=1), slice(0, 3), scale_of([]))
    assert (shown.before, shown.at_peak, shown.after) == (" t0", " t1", " t2")


def test_a_peak_outside_the_shown_tokens_is_refused() -> None:
    assert context(1.0, 2.0, peak=1).peak == 1
    with pytest.raises(ValidationError, match="one of the shown tokens"):
        context(1.0, 2.0, peak=2)


def test_one_outlier_does_not_wash_out_the_colours_of_the_rest() -> None:
    usual = scale_of([context(*([1.0, 2.0, 3.0] * 10))])
    outlier = scale_of([context(*([1.0, 2.0, 3.0] * 10), 3000.0)])
    assert usual.saturation == usual.largest == 3.0
    assert outlier.largest == 3000.0
    assert outlier.saturation < 10.0


def test_silent_contexts_have_no_scale() -> None:
    silent = context(0.0, 0.0)
    assert scale_of([silent]) == (0.0, 0.0, False)
    code = heat(silent, slice(0, 2), scale_of([silent])).code
    assert [value for _, value, _ in decoded(" t0 t1", code, 0.0)] == [0.0, 0.0]


def test_the_top_token_comes_from_the_first_context(make_report) -> None:
    card = make_report(n=1).coordinates[0]
    first = card.contexts[0]
    moved = first.model_copy(update={"peak": (first.peak + 1) % len(first.tokens)})
    assert strongest_token(card) == first.tokens[first.peak].text
    assert strongest_token(card.model_copy(update={"contexts": (moved,)})) == first.tokens[moved.peak].text
    assert strongest_token(card.model_copy(update={"contexts": ()})) == ""


def test_the_pages_script_reads_the_code_with_the_constants_that_wrote_it(make_report) -> None:
    page = render_html(make_report(n=1))
    constants = re.search(r'const DIGITS = "([^"]*)", STEPS = (\d+);', page)
    assert constants is not None
    assert constants[1] == DIGITS
    assert int(constants[2]) == STEPS
    assert len(set(DIGITS)) == len(DIGITS) == 64
    assert f"* {len(DIGITS)} + digit(" in page
    assert len(DIGITS) ** 2 > 2 * (2 * STEPS + 1)  # value and span fit the two digits


def test_the_page_marks_the_peak_for_its_script_and_for_readers_without_scripts(make_json) -> None:
    document = make_json(n=1, n_contexts=1, n_tokens=8)
    shown = document["coordinates"][0]["contexts"][0] | {"peak": 5}
    document["coordinates"][0]["contexts"] = [shown]
    page = render_html(InspectReport.model_validate(document))
    assert re.findall(r'data-p="(\d+)"', page) == ["5"]
    assert re.findall(r"<mark>(.*?)</mark>", page) == [visible(shown["tokens"][5]["text"])]
