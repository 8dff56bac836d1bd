"""How much text fits into one answer once it is written as JSON, so that a page never loses its end on the way."""

from __future__ import annotations

import json

from interp_lab.contracts.results import Result
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.views import as_json

ROOM_LEAST = 2000
"""Characters that a page may take however much else its answer says."""
_ESCAPED = 14
"""Characters that the escape of an invisible character can take: a surrogate pair whose backslashes are escaped."""


def room(envelope: Result) -> int:
    """Return how many characters of JSON an answer has left for text, given what else it says."""
    taken = len(json.dumps(as_json(envelope), ensure_ascii=False, separators=(",", ":")))
    return max(ROOM_LEAST, ANSWER_CHARS - taken - _ESCAPED)


def fitting(text: str, limit: int) -> int:
    """Return how many characters from the start of the text take at most `limit` in JSON; at least one."""
    taken = 0
    for place, character in enumerate(text):
        taken += _cost(character)
        if taken > limit:
            return max(1, place)
    return len(text)


def _cost(character: str) -> int:
    if character in '"\\\n\t\r':
        return 2
    return 1 if character.isprintable() else _ESCAPED
