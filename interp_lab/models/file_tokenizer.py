"""Text as tokens from the files of a model alone, torch-free, so that a plan can count and refuse beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from interp_lab.errors import InvalidModel, TargetTokensUnclear
from interp_lab.models.weights import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHANGES_TEXT = ("add_prefix_space", "auto_map", "legacy")
"""Settings with which a tokenizer may be loaded otherwise than its one file says."""
_AT_ONCE = 256
"""Texts that are encoded together."""


def token_ids(directory: Path, texts: Sequence[str], *, special: bool = True) -> list[list[int]] | None:
    """Return the tokens of each text, None where files alone do not tell; `special` adds begin and end tokens.

    Raises:
        InvalidModel: The tokenizer's file cannot be read.
    """
    tokenizer = _tokenizer(directory)
    return None if tokenizer is None else list(_encoded(tokenizer, texts, special=special))


def token_counts(directory: Path, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the tokens of each text; about one in four characters where files alone do not tell.

    Raises:
        InvalidModel: The tokenizer's file cannot be read.
    """
    tokenizer = _tokenizer(directory)
    if tokenizer is None:
        return tuple(max(1, len(text) // 4) for text in texts)
    return tuple(len(ids) for ids in _encoded(tokenizer, texts, special=True))


def mean_tokens(directory: Path, texts: Sequence[str]) -> float:
    """Return the mean of `token_counts`; raises as that does."""
    return sum(token_counts(directory, texts)) / len(texts)


def check_words(directory: Path, words: Sequence[str]) -> None:
    """Return if every word is one token; does nothing where files alone do not tell.

    Raises:
        TargetTokensUnclear: A word is several tokens, with the pieces that it falls into.
        InvalidModel: The tokenizer's file cannot be read.
    """
    config = directory / "tokenizer_config.json"
    if config.is_file() and any(read_json(config).get(name) for name in _CHANGES_TEXT):
        return
    tokenizer, found = _tokenizer(directory), token_ids(directory, words, special=False)
    if tokenizer is None or found is None:
        return
    for word, ids in zip(words, found, strict=True):
        if len(ids) != 1:
            pieces = [tokenizer.decode([token]) for token in ids[:6]]
            raise TargetTokensUnclear(f"{word!r} is not one token of this model but {pieces}.")


def _encoded(tokenizer: Tokenizer, texts: Sequence[str], *, special: bool) -> Iterator[list[int]]:
    """Yield the tokens of each text; an encoding takes over a hundred bytes a token, so few are there at a time."""
    for start in range(0, len(texts), _AT_ONCE):
        for encoding in tokenizer.encode_batch(list(texts[start : start + _AT_ONCE]), add_special_tokens=special):
            yield encoding.ids


def _tokenizer(directory: Path) -> Tokenizer | None:
    file = directory / "tokenizer.json"
    if not file.is_file() or find_spec("tokenizers") is None:
        return None
    status = file.stat()
    return _read(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _read(file: Path, changed_ns: int, n_bytes: int) -> Tokenizer:
    """One plan asks several times, and large vocabularies take seconds to read."""
    del changed_ns, n_bytes
    from tokenizers import Tokenizer  # lazy: an optional extra that only these checks need in the server process

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library has no error of its own
        raise InvalidModel(f"{file.parent.name}/{file.name} cannot be read: {str(error)[:200]}") from error
    tokenizer.no_truncation()  # a file may ask for either, and both hide how long a prompt is
    tokenizer.no_padding()
    return tokenizer
