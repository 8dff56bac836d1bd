"""The engine's SQL, by name, from `sql/queries.sql`; and the migrations, one file each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_SQL = files("interp_lab.jobs") / "sql"


class Migration(NamedTuple):
    """One step of the schema: the version it leads to and the statements that do it."""

    version: int
    sql: str


@cache
def queries() -> Mapping[str, str]:
    """Return the statements by name."""
    _, *parts = _NAME.split((_SQL / "queries.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


@cache
def released_migrations() -> tuple[Migration, ...]:
    """Return every migration of this version, in order."""
    found = sorted((_SQL / "migrations").iterdir(), key=lambda file: file.name)
    return tuple(
        Migration(int(file.name[:4]), file.read_text(encoding="utf-8")) for file in found if file.name.endswith(".sql")
    )
