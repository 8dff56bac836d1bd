"""Text around a token, as the store has it: untrusted, shortened, with how much was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.workflows.querying.view import StoreView

SIDE_CHARS = 160
"""Characters of text shown on each side of a token."""
TOKEN_CHARS = 60
CELL_CHARS = 200


class Window(NamedTuple):
    """The tokens around one row."""

    start: int
    """First row of the window."""
    stop: int
    before: str
    token: str
    after: str


def window(view: StoreView, row: int, width: int) -> Window:
    """Return the text of at most `width` tokens of the same prompt on each side of a row."""
    prompt = view.row_prompt[row]
    start, stop = row, row + 1  # outwards, because rows of imported prompts need not stand together
    while start > max(0, row - width) and view.row_prompt[start - 1] == prompt:
        start -= 1
    while stop < min(view.n_rows, row + width + 1) and view.row_prompt[stop] == prompt:
        stop += 1
    before = "".join(token_texts(view, start, row))
    after = "".join(token_texts(view, row + 1, stop))
    return Window(
        start,
        stop,
        before if len(before) <= SIDE_CHARS else "…" + before[-SIDE_CHARS:],
        clipped(token_texts(view, row, row + 1)[0], TOKEN_CHARS),
        clipped(after, SIDE_CHARS),
    )


def token_texts(view: StoreView, start: int, stop: int) -> list[str]:
    """Return the tokens of rows `start:stop`; a row without one has an empty text."""
    texts = view.tokens.texts
    return [texts[int(code)].as_py() if code >= 0 else "" for code in view.tokens.codes[start:stop]]


def clipped_apart(texts: Sequence[str], limit: int) -> tuple[str, ...]:
    """Return every text cut to about `limit` characters, those that would look the same told apart by a number."""
    short = [clipped(text, limit) for text in texts]
    counts = Counter(short)
    seen: Counter[str] = Counter()
    named: list[str] = []
    for text in short:
        seen[text] += 1
        named.append(f"{text} ({seen[text]})" if counts[text] > 1 else text)
    return tuple(named)


def clipped(text: str, limit: int = CELL_CHARS) -> str:
    """Return the text, cut to `limit` characters with an ellipsis when it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
