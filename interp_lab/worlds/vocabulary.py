"""The words of a world's tokenizer that are one token each, and the tokenizer as a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from interp_lab.corpus.lexicon import lexicon

_UNKNOWN = "<unk>"
_SPECIAL = ("<bos>", "<eos>", "<pad>", _UNKNOWN)
_MARK = "!"
_WORD = re.compile(r"[a-z]{3,12}")
_BPE_WORD = re.compile(r"Ġ([a-z]{3,12})")
_N_WORDS = 180


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and the words that it keeps whole after a space."""

    tokenizer: Tokenizer
    pieces: tuple[str, ...]
    """Every piece, in the order of the ids."""
    words: tuple[str, ...]
    """Words that are one token when a space stands before them."""
    mark: str
    """A punctuation mark that is the last token of ' ' + mark."""

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, the beginning token included where the tokenizer adds one."""
        return self.tokenizer.encode(text).ids

    def id_of(self, word: str) -> int:
        """Return the id of a word or of the mark as it stands inside a text."""
        return self.ids(f"{self.words[0]} {word}")[-1]


@cache
def small_vocabulary() -> Vocabulary:
    """Return the vocabulary of the small random models: whole words of the project's own lexicon."""
    nouns = lexicon().nouns
    every = (*nouns.animal, *nouns.object, *nouns.food, *nouns.tool, *nouns.nature, *nouns.building)
    words = tuple(dict.fromkeys(word for word in every if _WORD.fullmatch(word)))[:_N_WORDS]
    return word_level((*words, _MARK), words=words, mark=_MARK)


def word_level(pieces: tuple[str, ...], *, words: tuple[str, ...], mark: str) -> Vocabulary:
    """Return a vocabulary whose tokens are the given pieces, separated by spaces, after a beginning token."""
    every = (*_SPECIAL, *pieces)
    tokenizer = Tokenizer(models.WordLevel({piece: place for place, piece in enumerate(every)}, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(_SPECIAL))  # pyright: ignore[reportUnknownMemberType] - no stubs
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 0)]
    )
    return Vocabulary(tokenizer, every, words, mark)


def pieces_of(path: Path) -> Vocabulary:
    """Return the vocabulary of a byte-level tokenizer file."""
    tokenizer = Tokenizer.from_file(str(path))
    by_piece = tokenizer.get_vocab()
    pieces = tuple(sorted(by_piece, key=lambda piece: by_piece[piece]))
    words = tuple(found[1] for piece in pieces if (found := _BPE_WORD.fullmatch(piece)))
    whole = tuple(word for word in words if tokenizer.encode(f"a {word}").ids[-1] == by_piece[f"Ġ{word}"])
    return Vocabulary(tokenizer, pieces, whole, _MARK)
