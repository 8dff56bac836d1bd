"""The text of a token, read without the tokenizer's library, is what the library decodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from interp_lab.contracts.models import ModelRef
from interp_lab.errors import MalformedFile
from interp_lab.models.reference import locate
from interp_lab.models.vocabulary import read_vocabulary
from interp_lab.settings import Settings


def _pocket(name: str) -> Path:
    source = locate(ModelRef(id=f"builtin:{name}"), Settings(workspace=Path.cwd()))
    assert source is not None
    return source.directory


def test_byte_level_tokens_equal_the_librarys() -> None:
    directory = _pocket("pocket-gpt2")
    vocabulary, tokenizer = read_vocabulary(directory), Tokenizer.from_file(str(directory / "tokenizer.json"))
    wanted = [tokenizer.decode([token], skip_special_tokens=False) for token in range(tokenizer.get_vocab_size())]
    assert [vocabulary.text(token) for token in range(len(wanted))] == wanted


def test_pieces_with_a_mark_for_the_space_and_bare_bytes_are_read(tmp_path: Path) -> None:
    model = {"type": "Unigram", "vocab": [["<unk>", 0.0], ["\u2581the", -1.0], ["<0x0A>", -2.0], ["dog", -3.0]]}
    content = {"model": model, "added_tokens": [{"id": 4, "content": "<s>"}], "decoder": {"type": "Metaspace"}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    vocabulary = read_vocabulary(tmp_path)
    assert [vocabulary.text(token) for token in range(6)] == ["<unk>", " the", "\n", "dog", "<s>", "token 5"]


def test_an_old_vocabulary_file_serves_and_none_at_all_gives_numbers(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path).text(7) == "token 7"
    (tmp_path / "vocab.json").write_text(json.dumps({"\u0120cat": 0}))
    assert read_vocabulary(tmp_path).text(0) == " cat"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(MalformedFile):
        read_vocabulary(tmp_path)
