"""What a place in a model is called in the SAELens layout, and which place such a name means."""

from __future__ import annotations

import re

from interp_lab.errors import LabError
from interp_lab.points import HOOK_POINTS, Address

_ALIASES = {row.name: row.transformer_lens for row in HOOK_POINTS}
_MODULE_PATH = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)+")


def hook_name(address: str) -> str:
    """Return the TransformerLens name of an address, the path of a module, or the address where there is neither."""
    place = Address.parse(address)
    if place.path is not None:
        return place.path
    alias = _ALIASES.get(place.point)
    return alias.format(place.layer) if alias else address


def address_of(name: object) -> str | None:
    """Return the address that a hook name or a dotted module path means, or None."""
    if not isinstance(name, str):
        return None
    try:
        return str(Address.parse(name))
    except LabError:
        return f"module:{name}" if _MODULE_PATH.fullmatch(name) and "hook_" not in name else None
