"""Activation records that repeat what they say of every feature, read by comparing bytes instead of parsing them.

Writers that put the decoder row beside every value make lines of which a thousandth differs from line to line. The
first line, parsed as any other, is the mould: a line whose bytes between the values are the same says the same of them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.reading import parse_json
from interp_lab.errors import MalformedFile
from interp_lab.store.interchange.line_buffer import Line

LEAST_BYTES = 128
"""Bytes per feature from which comparing is faster than parsing."""
_LONGEST_NUMBER = 40
_METADATA = b'"feature_metadata"'
_CUT = secrets.token_hex(16)
"""What stands in the place of features while the rest of a line is parsed: nothing that a file could say."""
_VALUE = re.compile(rb'"activation": ?(-?[0-9][0-9.eE+-]*)')


@dataclass(frozen=True, slots=True)
class Mould:
    """The bytes that every line shares, in the order of a line."""

    head: bytes
    """From the key `features` to the first value."""
    between: tuple[tuple[bytes, bytes, int], ...]
    """What follows each value: its first byte, all of it and its length; the last one closes the list."""
    metadata: bytes
    """Key and value of `feature_metadata`; empty where there is none."""
    metadata_first: bool
    """Whether that stands before the features."""

    @classmethod
    def of(cls, line: bytes, value: Mapping[str, Any]) -> Mould | None:
        """Return the mould of a line that was parsed to `value`; None where parsing is as fast or the form is another.

        The values are found as text, so it is tried: with other numbers in their places the line has to parse to the
        same record with those numbers.
        """
        features = value.get("features")
        if not isinstance(features, list) or len(line) < LEAST_BYTES * len(cast(list[Any], features)):
            return None
        whole, metadata = _member(line, b"features"), _member(line, b"feature_metadata")
        found = list(_VALUE.finditer(line, *whole))
        if not found or len(found) != len(cast(list[Any], features)):
            return None
        ends = [each.end() for each in found]
        starts = [each.start(1) for each in found]
        stops = [*starts[1:], whole[1]]
        rests = [line[end:stop] for end, stop in zip(ends, stops, strict=True)]
        between = tuple((rest[:1], rest, len(rest)) for rest in rests)
        mould = cls(line[whole[0] : starts[0]], between, line[slice(*metadata)], metadata[0] < whole[0])
        return mould if mould._holds(line, whole, value) else None

    def read(self, line: Line) -> tuple[dict[str, Any], NDArray[np.float64]] | None:
        """Return a line's record with an empty `features` and no `feature_metadata`, and its values.

        None for a line of another form, or with something else than numbers in the places of values.
        """
        said = self._metadata(line, line.start) if self.metadata_first else (line.start, line.start)
        start = line.buffer.find(self.head, said[1], line.stop)
        numbers, stop = self._numbers(line.buffer, start)
        if not self.metadata_first:
            said = self._metadata(line, stop)
        # The buffer goes on after the line: what matched there is none of its own.
        if not numbers or max(stop, said[1]) > line.stop or said[1] - said[0] != len(self.metadata):
            return None
        cuts = [(start, stop, b'"features": "%b"' % _CUT.encode())]
        if self.metadata:
            cuts.append((said[0], said[1], b'"feature_metadata": null'))
        rest = _without(line, sorted(cuts))
        record, values = _parsed(rest), _parsed(b"[" + b",".join(numbers) + b"]")
        if not _is_rest(record, rest) or not _are_numbers(values, len(numbers)):
            return None
        return record | {"features": []}, np.array(values, dtype=np.float64)

    def _metadata(self, line: Line, start: int) -> tuple[int, int]:
        """Where what is said of all features stands from `start` on; nowhere if it is something else."""
        place = line.buffer.find(_METADATA, start, line.stop) if self.metadata else -1
        if place < 0 or not line.buffer.startswith(self.metadata, place):
            return start, start
        return place, place + len(self.metadata)

    def _numbers(self, buffer: bytearray, start: int) -> tuple[list[bytearray], int]:
        """Return the text in the places of values, and where the list ends; nothing if the bytes between differ."""
        numbers: list[bytearray] = []
        at = start + len(self.head)
        if start < 0:
            return [], at
        find, continues, take = buffer.find, buffer.startswith, numbers.append  # looked up once, not 512 times
        for first, rest, size in self.between:
            end = find(first, at, at + _LONGEST_NUMBER)
            if end < 0 or not continues(rest, end):
                return [], at
            take(buffer[at:end])
            at = end + size
        return numbers, at

    def _holds(self, line: bytes, whole: tuple[int, int], value: Mapping[str, Any]) -> bool:
        n = len(self.between)
        filled = self.head + b"".join(b"%d%b" % (place, rest) for place, (_, rest, _) in enumerate(self.between))
        record: dict[str, Any] = _parsed(line[: whole[0]] + filled + line[whole[1] :]) or {}
        entries: list[dict[str, Any]] = record.pop("features", None) or []
        if record != {key: said for key, said in value.items() if key != "features"} or len(entries) != n:
            return False
        pairs = zip(entries, cast(list[dict[str, Any]], value["features"]), strict=True)
        return all(
            each == {**was, "activation": place} and set(each) == set(was) for place, (each, was) in enumerate(pairs)
        )


def _member(line: bytes, key: bytes) -> tuple[int, int]:
    """Where the key and its value begin and end; (0, 0) where it is not written once as `"key": value`."""
    opening = re.compile(rb'"%b": ?(?=[\[{])' % key)
    found: Sequence[re.Match[bytes]] = list(opening.finditer(line))
    if len(found) != 1:
        return 0, 0
    text = line[found[0].end() :].decode()
    return found[0].start(), found[0].end() + len(text[: JSONDecoder().raw_decode(text)[1]].encode())


def _is_rest(record: Any, text: bytes) -> bool:
    """Whether what was cut out of a line stood at its top, and nothing else has these names."""
    if not isinstance(record, dict) or text.count(b'"features"') != 1 or text.count(_METADATA) > 1:
        return False
    top = cast(dict[str, Any], record)
    return top.get("features") == _CUT and top.get("feature_metadata") is None


def _are_numbers(values: Any, n: int) -> bool:
    if not isinstance(values, list):
        return False
    found = cast(list[Any], values)
    return len(found) == n and set(map(type, found)) <= {float, int}


def _without(line: Line, cuts: Sequence[tuple[int, int, bytes]]) -> bytes:
    parts: list[bytes | bytearray] = []
    at = line.start
    for start, stop, instead in cuts:
        parts += [line.buffer[at:start], instead]
        at = stop
    return b"".join([*parts, line.buffer[at : line.stop]])


def _parsed(data: bytes) -> Any:
    try:
        return parse_json(data)
    except MalformedFile:
        return None
