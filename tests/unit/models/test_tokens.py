from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.errors import InvalidRequest, PromptNotPoolable, PromptTooLong
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import REPLACEMENT, TokenizedPrompt, continued, open_ended, special_ids, tokenize


@pytest.fixture(scope="module")
def gpt2(load_tiny) -> LoadedModel:
    return load_tiny("gpt2")


def one(loaded: LoadedModel, text: str, **options: object) -> TokenizedPrompt:
    return tokenize(loaded, {"p": text}, **options)[0]


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters=REPLACEMENT), min_size=1, max_size=12))
def test_the_pieces_of_a_text_join_to_the_text(gpt2: LoadedModel, text: str) -> None:
    prompt = one(gpt2, text)
    assert "".join(prompt.pieces).replace(REPLACEMENT, "") == text
    assert len(prompt.pieces) == len(prompt.ids) == len(prompt.special) == len(prompt.offsets or ())


def test_a_character_of_several_tokens_is_shown_once_and_marked_after(gpt2: LoadedModel) -> None:
    pieces = one(gpt2, "a😀b").pieces
    assert pieces[0] == "a"
    assert pieces[1:-1] == ("😀", REPLACEMENT, REPLACEMENT, REPLACEMENT)
    assert pieces[-1] == "b"


def test_the_beginning_of_text_follows_the_policy(gpt2: LoadedModel) -> None:
    begin = gpt2.tokenizer.bos_token_id
    assert one(gpt2, "the cat").ids[0] != begin
    assert one(gpt2, "the cat", bos="never").ids[0] != begin
    always = one(gpt2, "the cat", bos="always")
    assert (always.ids[0], always.special[0], always.pieces[0]) == (begin, True, "<bos>")
    assert always.ids[1:] == one(gpt2, "the cat").ids


def test_a_beginning_that_is_there_already_is_not_doubled(gpt2: LoadedModel) -> None:
    assert one(gpt2, "<bos>the cat", bos="always").ids == one(gpt2, "<bos>the cat").ids


def test_special_tokens_are_marked_wherever_they_stand(gpt2: LoadedModel) -> None:
    prompt = one(gpt2, "the<eos> cat")
    assert [piece for piece, special in zip(prompt.pieces, prompt.special, strict=True) if special] == ["<eos>"]


def test_an_unknown_word_stands_for_text_and_is_not_special() -> None:
    class Tokenizer:
        all_special_ids = (0, 1, 2)
        bos_token_id, eos_token_id, pad_token_id, unk_token_id = 0, 1, None, 2

    assert special_ids(Tokenizer()) == {0, 1}
    Tokenizer.unk_token_id = 1
    assert special_ids(Tokenizer()) == {0, 1, 2}


def test_a_tokenizer_without_a_beginning_cannot_be_told_to_add_it(tiny_models) -> None:
    from dataclasses import replace

    from interp_lab.models.load import load_model
    from interp_lab.models.resolve import ModelSource

    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")))
    loaded.tokenizer.bos_token = None
    with pytest.raises(InvalidRequest, match="no beginning-of-text"):
        one(replace(loaded), "the cat", bos="always")


def test_a_prompt_beyond_the_context_is_refused_by_its_id(gpt2: LoadedModel) -> None:
    with pytest.raises(PromptTooLong, match=r"b \(\d+\)"):
        tokenize(gpt2, {"a": "the cat", "b": "the cat " * 40})


def test_an_empty_prompt_is_refused_by_its_id(gpt2: LoadedModel) -> None:
    with pytest.raises(PromptNotPoolable, match=r"in: b\."):
        tokenize(gpt2, {"a": "the cat", "b": ""})


def test_half_a_surrogate_pair_is_refused(gpt2: LoadedModel) -> None:
    with pytest.raises(InvalidRequest, match="Prompt p holds half"):
        one(gpt2, "a\ud83d")


def test_a_span_covers_the_tokens_that_share_a_character_with_it(gpt2: LoadedModel) -> None:
    prompt = one(gpt2, "<bos>the cat sat")
    assert prompt.pieces == ("<bos>", "the", " cat", " sat")
    assert prompt.covers((9, 12)) == (False, False, True, False)
    assert prompt.covers((7, 10)) == (False, True, True, False)
    assert not any(prompt.covers((5, 5)))
    assert not any(prompt.covers((0, 5))[1:])


def test_a_special_token_is_never_inside_a_span(gpt2: LoadedModel) -> None:
    assert one(gpt2, "<bos>the").covers((0, 8)) == (False, True)


def test_a_prompt_that_is_to_go_on_loses_the_end_that_its_tokenizer_put_there(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    whole, plain, only = tokenize(loaded, {"a": "the cat<eos>", "b": "the cat", "c": "<eos>"})
    assert open_ended(loaded, whole).ids == plain.ids
    assert open_ended(loaded, whole).pieces == plain.pieces
    assert open_ended(loaded, plain) is plain
    assert open_ended(loaded, only) is only


def test_what_a_model_wrote_follows_the_prompt_and_covers_none_of_its_text(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    (prompt,) = tokenize(loaded, {"a": "the cat"})
    longer = continued(loaded, prompt, [prompt.ids[0], 1])
    assert longer.ids == (*prompt.ids, prompt.ids[0], 1)
    assert longer.special[-2:] == (False, True)
    assert longer.covers((0, 7)) == (True,) * len(prompt) + (False, False)
