"""Lists of features without values of prompts: feature dumps of interp-lab 3 (JSON Lines) and records of Neuronpedia.

Such a list says where a feature is or which way it writes; what it says of causes and meanings is somebody's word. A
line of a dump names hidden dimension `L8:D20`, or has the whole decoder row beside a layer; a record of Neuronpedia,
from its API or its bulk export, has `vector` and `hookName`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple, cast

from pydantic import JsonValue

from interp_lab.artifacts.reading import parse_json
from interp_lab.errors import FileTooLarge, LabError, MalformedFile
from interp_lab.points import Address
from interp_lab.store.interchange.features import place_of
from interp_lab.store.interchange.lines import numbered_objects

MAX_FEATURES: Final = 10_000
MAX_LIST_BYTES: Final = 512 * 2**20
_NAME, _LABEL = 120, 200


class ListedFeature(NamedTuple):
    """One feature; text in it is untrusted."""

    name: str
    label: str
    model: str
    neuronpedia: bool
    """Its model is named as that service names it."""
    address: Address | None
    """Where it is; None if the list does not say."""
    unit: int | None
    """Coordinate of the address, of a feature that is one."""
    direction: tuple[float, ...]
    """Which way it writes; empty if the list does not say."""


def read_feature_list(file: BinaryIO, *, where: str) -> list[ListedFeature]:
    """Return the features of a file: JSON Lines, one JSON object, or a list of objects.

    Raises:
        MalformedFile: It is not strict JSON, or a row is no feature; the message names it.
        FileTooLarge: It is too large, or lists more than 10,000 features.
    """
    found: list[ListedFeature] = []
    for number, row in _rows(file, where):
        if len(found) == MAX_FEATURES:
            raise FileTooLarge(f"{where} lists more than {MAX_FEATURES:,} features.")
        found.append(_feature(row, f"{where}, row {number},"))
    if not found:
        raise MalformedFile(f"{where} lists no feature.")
    return found


def _rows(file: BinaryIO, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    file.seek(0)
    if not start.startswith(b"[") and not start.startswith(b"{\n"):
        yield from numbered_objects(file, where=where)
        return
    data = file.read(MAX_LIST_BYTES + 1)
    if len(data) > MAX_LIST_BYTES:
        raise FileTooLarge(f"{where} has more than {MAX_LIST_BYTES} bytes.")
    value = parse_json(data, where=where)
    for number, row in enumerate(value if isinstance(value, list) else [value], start=1):
        if not isinstance(row, dict):
            raise MalformedFile(f"{where}, row {number}, is no object.")
        yield number, cast(dict[str, Any], row)


def _feature(row: dict[str, Any], where: str) -> ListedFeature:
    if isinstance(row.get("modelId"), str) and "index" in row:
        return _of_neuronpedia(row, where)
    if isinstance(row.get("feature_id"), str) and isinstance(row.get("model"), str):
        return _of_dump(row, where)
    raise MalformedFile(f"{where} is no feature: it needs feature_id and model, or modelId and index.")


def _of_neuronpedia(row: dict[str, Any], where: str) -> ListedFeature:
    told = row.get("explanations")
    first = cast(list[JsonValue], told)[0] if isinstance(told, list) and told else None
    label = cast(dict[str, JsonValue], first).get("description") if isinstance(first, dict) else None
    return ListedFeature(
        name=f"{row['modelId']}@{row.get('layer')}:{row['index']}"[:_NAME],
        label=label[:_LABEL] if isinstance(label, str) else "",
        model=row["modelId"][:_NAME],
        neuronpedia=True,
        address=_address(row.get("hookName")),
        unit=None,
        direction=_numbers(row.get("vector"), f"{where} vector"),
    )


def _of_dump(row: dict[str, Any], where: str) -> ListedFeature:
    metadata = row.get("metadata")
    place = place_of(row["feature_id"], cast(dict[str, Any], metadata) if isinstance(metadata, dict) else {})
    label, layer = row.get("label"), row.get("layer")
    coordinate = place.unit is not None and place.dictionary is None
    hidden = Address("resid_pre", layer) if isinstance(layer, int) and 0 <= layer <= 9999 else None
    return ListedFeature(
        name=row["feature_id"][:_NAME],
        label=label[:_LABEL] if isinstance(label, str) else "",
        model=row["model"][:_NAME],
        neuronpedia=False,
        address=place.address if coordinate else hidden,
        unit=place.unit if coordinate else None,
        direction=() if coordinate else _numbers(row.get("decoder_signature"), f"{where} decoder_signature"),
    )


def _address(hook: object) -> Address | None:
    try:
        return Address.parse(hook) if isinstance(hook, str) else None
    except LabError:
        return None


def _numbers(value: object, where: str) -> tuple[float, ...]:
    if value is None:
        return ()
    items = cast(list[object], value) if isinstance(value, list) else [None]
    numbers = [float(x) for x in items if isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)]
    if len(numbers) != len(items):
        raise MalformedFile(f"{where} is no list of numbers.")
    return tuple(numbers)
