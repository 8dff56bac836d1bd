"""Which tensors a dictionary consists of and the shape of each; the names are those of the SAELens layout."""

from __future__ import annotations

import math
from collections.abc import Mapping

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.errors import InvalidDictionary

Shape = tuple[int, ...]
THRESHOLDED = frozenset({"jumprelu", "batchtopk", "matryoshka"})
"""Architectures whose finished dictionary compares with a threshold."""


def shapes(config: DictionaryConfig) -> dict[str, Shape]:
    """Return the name and shape of every tensor of a finished dictionary."""
    d_in, d_out, n = config.d_in, config.d_out, config.n_latents
    found: dict[str, Shape] = {"W_enc": (d_in, n), "W_dec": (n, d_out), "b_dec": (d_out,)}
    if config.architecture == "gated":
        found |= {"b_gate": (n,), "b_mag": (n,), "r_mag": (n,)}
    else:
        found["b_enc"] = (n,)
    if config.architecture in THRESHOLDED:
        found["threshold"] = (n,)
    if config.skip:
        found["W_skip"] = (d_out, d_in)
    return found


def check_shapes(config: DictionaryConfig, given: Mapping[str, Shape], *, where: str) -> None:
    """Refuse tensors that are not exactly those of the configuration.

    Raises:
        InvalidDictionary: One is missing, unknown, or of another shape.
    """
    wanted = shapes(config)
    if missing := sorted(wanted.keys() - given.keys()):
        raise InvalidDictionary(f"{where} lacks {', '.join(missing)}.")
    if unknown := sorted(given.keys() - wanted.keys()):
        raise InvalidDictionary(f"{where} holds {', '.join(unknown[:5])[:120]}, which no such dictionary has.")
    for name, shape in wanted.items():
        if given[name] != shape:
            raise InvalidDictionary(f"{name} of {where} has shape {list(given[name])} instead of {list(shape)}.")


def n_parameters(config: DictionaryConfig) -> int:
    """Return the number of weights of a dictionary."""
    return sum(math.prod(shape) for shape in shapes(config).values())
