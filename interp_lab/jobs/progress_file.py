"""How far a process is, in a file that another one reads at any moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp_lab.artifacts.durable import replace_quickly


class ProgressFile:
    """The last progress that one process wrote; replaced as a whole, lost by a power cut at worst."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, values: Mapping[str, Any]) -> None:
        """Replace the progress."""
        replace_quickly(self._path, json.dumps(dict(values), allow_nan=False).encode())

    def read(self) -> dict[str, Any]:
        """Return the progress; empty before its first word."""
        with suppress(OSError, ValueError, RecursionError):
            value: object = json.loads(self._path.read_bytes())
            if isinstance(value, dict):
                return value  # pyright: ignore[reportUnknownVariableType]
        return {}

    def forget(self) -> None:
        """Say nothing again."""
        self._path.unlink(missing_ok=True)
