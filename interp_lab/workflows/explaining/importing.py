"""Explanations that other tools wrote: Neuronpedia exports, delphi results, and plain feature_id records.

Whatever they say is kept as imported; a latent is only recognised by an index that is written out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from pydantic import JsonValue

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import parse_json, read_json_lines
from interp_lab.contracts.explain import ExplanationRecord, ImportExplanations
from interp_lab.errors import MalformedFile
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.records import make_record
from interp_lab.workflows.features.weights import MappedDictionary, open_dictionary

MAX_BYTES = 256 * 2**20
_TEXT_FIELDS = ("description", "explanation", "nla_explanation", "nla_description", "autointerp_explanation", "text")
_INDEX_FIELDS = ("index", "latent", "feature_id", "feature", "id")
_SCORE_FIELDS = ("confidence", "score")
_INDEX = re.compile(r"(?:^|[^0-9])(\d{1,9})$")
_MAX_TEXT = 2000


class Found(NamedTuple):
    """One explanation as the file has it."""

    latent: int | None
    text: str
    scores: dict[str, float]


def import_records(step: ImportExplanations, settings: Settings) -> tuple[tuple[ExplanationRecord, ...], int]:
    """Return the records of latents of the dictionary, and how many entries were left out.

    Raises:
        MalformedFile: It is neither JSON nor JSON Lines, or holds no explanation of any latent of the dictionary.
        InvalidPath, PathOutsideWorkspace, FileTooLarge: from the file.
        LabError: whatever is wrong with the dictionary.
    """
    dictionary = open_dictionary(step.dictionary, settings)
    value = _read(step.path, settings)
    if isinstance(value, str):  # delphi writes one text a file and names the latent in the file's name
        found = list(_entry(value, step.path.rpartition("/")[2].rpartition(".")[0]))
    else:
        found = list(_entries(value))
    source = step.source or step.path.rpartition("/")[2][:200]
    kept = tuple(_records(found, dictionary, step.dictionary, source))
    if not kept:
        raise MalformedFile(
            f"{step.path} holds no explanation of a latent of the dictionary: {len(found)} entries were read.",
            remedy="Each entry needs the latent's number (index or feature_id) and a text (description, explanation).",
        )
    return kept, len(found) - len(kept)


def _read(path: str, settings: Settings) -> JsonValue:
    with open_input(settings.workspace, path, read_roots=settings.read_roots, max_bytes=MAX_BYTES) as file:
        if path.lower().endswith(".jsonl"):
            return list(read_json_lines(file, where=path))
        return parse_json(file.read(), where=path)


def _entries(value: JsonValue) -> Iterator[Found]:
    """Yield the explanations in a list, in {features|explanations: list}, or in {latent: text or record}."""
    if isinstance(value, list):
        for item in value:
            yield from _entry(item, None)
    elif isinstance(value, dict):
        inner = value.get("features", value.get("explanations"))
        if isinstance(inner, list) and _index(value) is None:
            yield from _entries(inner)
        elif any(name in value for name in _TEXT_FIELDS) or isinstance(value.get("explanations"), list):
            yield from _entry(value, None)
        else:
            for name, item in value.items():
                yield from _entry(item, name)


def _entry(item: JsonValue, name: str | None) -> Iterator[Found]:
    index = _number(name) if name is not None else None
    if isinstance(item, str):
        yield Found(index, item, {})
    elif isinstance(item, dict):
        index = _index(item) if _index(item) is not None else index
        nested = item.get("explanations")
        if isinstance(nested, list):
            for each in nested:
                if isinstance(each, dict):
                    yield Found(index, _text(each), _scores(each))
        else:
            yield Found(index, _text(item), _scores(item))
    else:
        yield Found(None, "", {})


def _records(
    found: Iterable[Found], dictionary: MappedDictionary, name: str, source: str
) -> Iterator[ExplanationRecord]:
    identities = tuple(dict.fromkeys((name, dictionary.content_hash)))
    column = dictionary.config.address_in or "dictionary"
    for each in found:
        text = each.text.strip()[:_MAX_TEXT]
        if each.latent is None or each.latent >= dictionary.n_latents or len(text) < 3:
            continue
        record = make_record(
            f"{column}#{each.latent}", each.latent, identities, text, provenance="imported", source=source
        )
        yield record.model_copy(update={"imported_scores": each.scores})


def _text(item: Mapping[str, JsonValue]) -> str:
    metadata = item.get("metadata")
    for fields in (item, metadata if isinstance(metadata, dict) else {}):
        for name in _TEXT_FIELDS:
            value = fields.get(name)
            if isinstance(value, str) and value.strip():
                return value
    return ""


def _scores(item: Mapping[str, JsonValue]) -> dict[str, float]:
    """Return the finite scores that an entry reports, by their own names."""
    scores = {name: float(cast("float", item[name])) for name in _SCORE_FIELDS if _finite(item.get(name))}
    listed = item.get("scores")
    if isinstance(listed, list):
        for each in listed:
            if isinstance(each, dict) and _finite(each.get("value")):
                name = str(each.get("explanationScoreTypeName") or "score")[:60]
                scores[name] = float(cast("float", each["value"]))
    elif isinstance(listed, dict):
        scores |= {str(name)[:60]: float(cast("float", each)) for name, each in listed.items() if _finite(each)}
    return scores


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _index(item: Mapping[str, JsonValue]) -> int | None:
    for name in _INDEX_FIELDS:
        found = _number(item.get(name))
        if found is not None:
            return found
    return None


def _number(value: JsonValue) -> int | None:
    """Return the latent that a number or a name such as 'layers.3_latent17' or 'L3:F17' ends with."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    match = _INDEX.search(value) if isinstance(value, str) else None
    return int(match.group(1)) if match else None
