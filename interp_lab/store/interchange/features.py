"""Names of features in activation records, and the places they stand for.

`L8:D20` is dimension 20 of hidden state 8, the residual stream that enters block 8, so its address is `resid_pre.8`.
Hidden state n of a model with n blocks is taken after the final norm and is no residual stream: `resid_pre.n` exists
in no such model, and a request that uses the name is refused where the model is known. `SAE:L8:F20` is a latent of a
dictionary there. A record may name address, unit and dictionary itself; any other name is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from interp_lab.errors import LabError
from interp_lab.points import Address

_HIDDEN = re.compile(r"L([0-9]{1,4}):D([0-9]{1,8})")
_LATENT = re.compile(r"SAE:L([0-9]{1,4}):F([0-9]{1,8})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_UNIT = 2**24 - 1
OTHER = Address("module", path="records")
"""Where a feature is put whose name says no place."""


class Place(NamedTuple):
    """One unit of one column."""

    address: Address
    dictionary: str | None
    """Name of the dictionary; None for a coordinate of the address itself."""
    unit: int | None
    """Index in the column; None for a feature that is known by its name only."""


def place_of(feature_id: str, metadata: Mapping[str, Any]) -> Place:
    """Return where a feature sits, from what its record says of it or from its name."""
    return _said(metadata) or _named(feature_id) or Place(OTHER, "features", None)


def feature_id(address: Address, dictionary: str | None, unit: int) -> str:
    """Return the name of a unit in a record: `L8:D20` and `SAE:L8:F20` where there is such a name."""
    layer = hidden_layer(address)
    if layer is None:
        column = str(address) if dictionary is None else f"{address}/{dictionary}"
        return f"{column}:{'D' if dictionary is None else 'F'}{unit}"
    return f"L{layer}:D{unit}" if dictionary is None else f"SAE:L{layer}:F{unit}"


def hidden_layer(address: Address) -> int | None:
    """Return the index of the hidden state that an address of the residual stream is, or None."""
    if address.layer is None or address.point not in ("resid_pre", "resid_post"):
        return None
    return address.layer + (address.point == "resid_post")


def _said(metadata: Mapping[str, Any]) -> Place | None:
    address, unit, dictionary = (metadata.get(name) for name in ("address", "unit", "dictionary"))
    if not isinstance(address, str) or not isinstance(unit, int) or not 0 <= unit <= MAX_UNIT:
        return None
    if dictionary is not None and not (isinstance(dictionary, str) and _NAME.fullmatch(dictionary)):
        return None
    try:
        return Place(Address.parse(address), dictionary, unit)
    except LabError:
        return None


def _named(text: str) -> Place | None:
    if (hidden := _HIDDEN.fullmatch(text)) and int(hidden[2]) <= MAX_UNIT:
        return Place(Address("resid_pre", int(hidden[1])), None, int(hidden[2]))
    if (latent := _LATENT.fullmatch(text)) and int(latent[2]) <= MAX_UNIT:
        return Place(Address("resid_pre", int(latent[1])), "sae", int(latent[2]))
    return None
