"""A prompt set is checked as a whole before anything starts, wherever it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from interp_lab.contracts.prompts import InlinePrompts, PromptFile, ScoredPrompt
from interp_lab.corpus.prompt_set import (
    PromptSet,
    checked,
    load_prompt_set,
    refuse_one_sided,
    refuse_without_spans,
)
from interp_lab.errors import DuplicatePromptIds, EmptyPrompt, InvalidPrompts, OneSidedPrompts


def prompts(*rows: dict[str, Any]) -> PromptSet:
    return checked("here", [ScoredPrompt.model_validate(row) for row in rows])


def from_file(*rows: Any) -> PromptSet:
    return load_prompt_set(
        PromptFile(path="set.jsonl"), read_lines=lambda _: enumerate(rows, start=1), load_builtin=lambda _: ()
    )


def test_prompts_without_ids_get_ids_by_place() -> None:
    assert prompts({"text": "a", "score": 1}, {"text": "b", "score": 0}).ids() == ("p00000", "p00001")


def test_the_hash_changes_with_any_field_and_with_the_order() -> None:
    a, b = {"text": "a", "score": 1}, {"text": "b", "score": 0}
    hashes = {prompts(*rows).sha256 for rows in ([a, b], [b, a], [a, {**b, "group": "g"}], [a, {**b, "score": 0.1}])}
    assert len(hashes) == 4
    assert prompts(a, b).sha256 == prompts(a, b).sha256


def test_an_id_given_twice_is_refused_by_name() -> None:
    with pytest.raises(DuplicatePromptIds, match="'twice'"):
        prompts({"id": "twice", "text": "a", "score": 1}, {"id": "twice", "text": "b", "score": 0})


@pytest.mark.parametrize("text", [" ", "\n\t", "\u00a0"])
def test_a_prompt_without_visible_text_is_refused(text: str) -> None:
    with pytest.raises(EmptyPrompt, match="p00000"):
        prompts({"text": text, "score": 1}, {"text": "b", "score": 0})


def test_a_span_past_the_end_of_its_text_is_refused() -> None:
    with pytest.raises(InvalidPrompts, match="Span past the end"):
        prompts({"text": "abc", "score": 1, "spans": [{"start": 1, "end": 4}]})


@pytest.mark.parametrize(("score", "side"), [(1.0, "negatives"), (0.0, "positives")])
def test_a_set_with_one_side_only_is_refused(score: float, side: str) -> None:
    one_sided = prompts({"text": "a", "score": score}, {"text": "b", "score": score})
    with pytest.raises(OneSidedPrompts, match=side):
        refuse_one_sided(one_sided, 0.5)


def test_the_threshold_decides_what_is_positive() -> None:
    graded = prompts({"text": "a", "score": 0.2}, {"text": "b", "score": 0.4})
    refuse_one_sided(graded, 0.3)
    assert graded.positive(0.3) == (False, True)


def test_span_pooling_needs_a_span_on_every_prompt() -> None:
    mixed = prompts({"text": "abc", "score": 1, "spans": [{"start": 0, "end": 1}]}, {"text": "abd", "score": 0})
    with pytest.raises(InvalidPrompts, match="p00001"):
        refuse_without_spans(mixed)


@pytest.mark.parametrize(
    "row", [{"text": "a"}, {"score": 1}, {"text": "", "score": 1}, {"text": "a", "score": float("nan")}, [], None, "a"]
)
def test_a_row_that_is_no_scored_prompt_is_named(row: Any) -> None:
    with pytest.raises(InvalidPrompts, match=r"set\.jsonl row 2"):
        from_file({"text": "ok", "score": 1}, row)


def test_a_file_with_a_single_prompt_is_refused() -> None:
    with pytest.raises(InvalidPrompts, match="1 prompts"):
        from_file({"text": "ok", "score": 1})


def test_inline_prompts_are_checked_like_any_others() -> None:
    rows = tuple(ScoredPrompt(id="same", text=text, score=1) for text in "ab")
    with pytest.raises(DuplicatePromptIds):
        load_prompt_set(InlinePrompts(prompts=rows), read_lines=lambda _: (), load_builtin=lambda _: ())
