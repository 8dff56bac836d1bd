"""Bringing a catalogue to the current schema: under a write lock taken before the version is read, backup first."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from interp_lab.errors import CatalogCorrupt, CatalogTooNew
from interp_lab.jobs.catalog import APPLICATION_ID, connect, typed_errors
from interp_lab.jobs.queries import Migration, released_migrations


def migrate(path: Path, migrations: Sequence[Migration] | None = None) -> int:
    """Bring the catalogue to the newest schema, creating it if need be; return the version it was found at.

    Raises:
        CatalogTooNew: A newer interp-lab wrote it; it was not touched.
        CatalogCorrupt: The file is not a catalogue.
    """
    steps = released_migrations() if migrations is None else migrations
    newest = steps[-1].version
    with typed_errors(path):
        connection = connect(path, create=True)
        try:
            found = _version(connection, path)
            _refuse_newer(found, newest)
            if 0 < found < newest:
                _back_up(connection, path, found)
            if found < newest:
                _apply(connection, path, steps)
            return found
        finally:
            connection.close()


def _apply(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated between our look and our lock.
        current = _version(connection, path)
        _refuse_newer(current, steps[-1].version)
        for step in steps:
            if step.version > current:
                for statement in statements(step.sql):
                    connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {steps[-1].version}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def statements(sql: str) -> Iterator[str]:
    """Yield the statements of a script one by one: executescript would commit the transaction around it."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _version(connection: sqlite3.Connection, path: Path) -> int:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application not in {0, APPLICATION_ID} or (application == 0 and tables):
        raise CatalogCorrupt(f"{str(path)!r} is a database, but not a job catalogue.")
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _refuse_newer(found: int, newest: int) -> None:
    if found > newest:
        raise CatalogTooNew(f"The job catalogue has schema {found}; this version knows up to {newest}.")


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Keep the catalogue as it was at `version`; a copy that another process's migration has overtaken is dropped."""
    draft = path.with_name(f"backup-{secrets.token_hex(6)}.tmp")
    try:
        connection.execute("VACUUM INTO ?", (str(draft),))
        copy = sqlite3.connect(draft)
        try:
            copied: int = copy.execute("PRAGMA user_version").fetchone()[0]
        finally:
            copy.close()
        if copied == version:
            draft.replace(path.with_name(f"catalog.schema-{version}.sqlite"))
    finally:
        draft.unlink(missing_ok=True)
