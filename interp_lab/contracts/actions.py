"""What to call next, ready to be called."""

from __future__ import annotations

from pydantic import JsonValue

from interp_lab.contracts.base import Contract


class NextAction(Contract):
    """A call that makes sense now, with complete and valid arguments."""

    tool: str
    """Name of the capability."""
    arguments: dict[str, JsonValue]
    """Arguments that pass its input schema as they stand."""
    why: str
    """What the call would settle."""
    cost: str = ""
    """What it takes, as this lab plans it when it hands the call out; empty in a stored report."""
    changes: str = ""
    """What its answer can change: which grades, or nothing."""
