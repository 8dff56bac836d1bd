"""The text of every token of a model, read from the tokenizer's own file without the library that runs it. Torch-free.

What cannot be told from the file is shown as it is written there, or by its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from interp_lab.artifacts.reading import read_json

_FILE, _OLD = "tokenizer.json", "vocab.json"
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_KEPT_OPEN = 4


class Vocabulary:
    """The tokens of one tokenizer."""

    def __init__(self, pieces: Mapping[int, str], *, bytes_as_letters: bool) -> None:
        self._pieces = pieces
        self._letters = _byte_letters() if bytes_as_letters else None

    @property
    def tokens(self) -> tuple[int, ...]:
        """Numbers of the tokens that are known, ascending."""
        return tuple(sorted(self._pieces))

    def text(self, token: int) -> str:
        """Return the text that a token stands for; bytes that are no character on their own show as U+FFFD."""
        piece = self._pieces.get(token)
        if piece is None:
            return f"token {token}"
        if self._letters is not None:
            values = [self._letters.get(letter) for letter in piece]
            known = [value for value in values if value is not None]
            return bytes(known).decode("utf-8", "replace") if len(known) == len(values) else piece
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)]).decode("utf-8", "replace")
        return piece.replace(_SPACE, " ")


def read_vocabulary(directory: Path) -> Vocabulary:
    """Return the tokens of the tokenizer in a model directory; none of them is known where there is no file of it.

    Raises:
        MalformedFile, FileTooLarge: The file is not what it should be.
    """
    for name in (_FILE, _OLD):
        path = directory / name
        if path.is_file():
            return _read(path, path.stat().st_mtime_ns)
    return Vocabulary({}, bytes_as_letters=False)


@lru_cache(maxsize=_KEPT_OPEN)
def _read(path: Path, stamp: int) -> Vocabulary:  # noqa: ARG001 - the stamp makes a changed file another entry
    with path.open("rb") as file:
        content = cast("Mapping[str, Any]", read_json(file, where=path.name))
    if path.name == _OLD:
        return Vocabulary(_by_number(content), bytes_as_letters=True)
    model: Any = content.get("model") or {}
    pieces = _by_number(model.get("vocab") or {})
    added: Any = content.get("added_tokens") or ()
    pieces |= {int(each["id"]): str(each["content"]) for each in added}
    return Vocabulary(pieces, bytes_as_letters="ByteLevel" in _kinds(content.get("decoder")))


def _by_number(vocabulary: Any) -> dict[int, str]:
    """Return piece by number from a table piece → number, or from a list of pieces with their scores."""
    if isinstance(vocabulary, Mapping):
        table = cast("Mapping[str, Any]", vocabulary)
        return {int(number): piece for piece, number in table.items()}
    return {number: str(entry[0]) for number, entry in enumerate(cast("Sequence[Any]", vocabulary))}


def _kinds(decoder: Any) -> frozenset[str]:
    if not isinstance(decoder, Mapping):
        return frozenset()
    about = cast("Mapping[str, Any]", decoder)
    inner = cast("Sequence[Any]", about.get("decoders") or ())
    return frozenset({str(about.get("type"))}.union(*(_kinds(each) for each in inner)))


def _byte_letters() -> dict[str, int]:
    """Return the byte that each printable stand-in letter of byte-level tokenizers means."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}
