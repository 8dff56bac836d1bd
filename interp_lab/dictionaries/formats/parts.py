"""A dictionary taken apart: its configuration and its tensors as numpy arrays, on the way from a foreign format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from interp_lab.artifacts.reading import read_json
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.formats.layout import check_shapes
from interp_lab.errors import InvalidDictionary

Tensors = Mapping[str, NDArray[Any]]


class Parts(NamedTuple):
    """A configuration, exactly the tensors that belong to it, and what a user of it must know."""

    config: DictionaryConfig
    tensors: dict[str, NDArray[np.float32]]
    notes: tuple[str, ...] = ()


def parts(fields: Mapping[str, Any], tensors: Tensors, *, where: str, notes: tuple[str, ...] = ()) -> Parts:
    """Return the parts of an imported dictionary, in float32, after checking that they belong together.

    Raises:
        InvalidDictionary: The fields are impossible, or a tensor is missing, of another shape, or not finite.
    """
    try:
        config = DictionaryConfig.model_validate({"provenance": "imported", "source": where, **fields})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "it"
        raise InvalidDictionary(f"{where} does not describe a dictionary: {place}: {problem['msg']}.") from None
    arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}
    check_shapes(config, {name: value.shape for name, value in arrays.items()}, where=where)
    check_finite(arrays, where=where)
    return Parts(config, arrays, notes)


def check_finite(tensors: Mapping[str, NDArray[np.float32]], *, where: str) -> None:
    """Refuse tensors with NaN or infinity.

    Raises:
        InvalidDictionary: The first such tensor is named.
    """
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise InvalidDictionary(f"{name} of {where} holds NaN or infinity.")


def taken(tensors: Tensors, name: str, *, where: str) -> NDArray[Any]:
    """Return one tensor by its name.

    Raises:
        InvalidDictionary: There is none of that name.
    """
    if name not in tensors:
        raise InvalidDictionary(f"{where} lacks {name}; it has {', '.join(sorted(tensors)[:10])[:200]}.")
    return tensors[name]


def matrix(tensors: Tensors, name: str, *, where: str) -> NDArray[Any]:
    """Return one tensor of two dimensions by its name; see `taken` for errors."""
    value = taken(tensors, name, where=where)
    if value.ndim != 2:
        raise InvalidDictionary(f"{name} of {where} has shape {list(value.shape)}, not that of a matrix.")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        InvalidDictionary: There is no such file, or it holds something else.
        MalformedFile, FileTooLarge: see `read_json`.
    """
    try:
        with path.open("rb") as file:
            value = read_json(file, where=path.name)
    except OSError as error:
        raise InvalidDictionary(f"{path.name} cannot be read: {error.strerror}.") from error
    if not isinstance(value, dict):
        raise InvalidDictionary(f"{path.name} does not hold a JSON object.")
    return value
