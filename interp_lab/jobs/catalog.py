"""The SQLite file: one short transaction per call, settings that keep every acknowledged commit, typed failures.

Rollback journal, not WAL: several processes may use different SQLite libraries on one file, and some of those
can corrupt a WAL. `synchronous=EXTRA` because the last commit before a power cut counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from interp_lab.artifacts.durable import describe_full
from interp_lab.artifacts.locks import hold_lock
from interp_lab.errors import CatalogBusy, CatalogCorrupt, DiskFull, LabError, WorkspaceUnusable
from interp_lab.jobs.queries import queries

APPLICATION_ID = 0x494C4142  # "ILAB"
BUSY_TIMEOUT_S = 30.0

_UNUSABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Return a connection with the engine's settings; close it in the same call that opened it.

    Raises:
        sqlite3.Error: see `typed_errors`.
    """
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )
    try:
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = DELETE", "synchronous = EXTRA", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def as_lab_error(error: sqlite3.Error, path: Path) -> LabError:
    """Return what an SQLite failure means to a user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return CatalogBusy(f"The job catalogue stayed locked for {BUSY_TIMEOUT_S:.0f} seconds.")
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(describe_full(path.parent, None))
    if code in _UNUSABLE:
        return WorkspaceUnusable(f"The job catalogue {str(path)!r} cannot be used: {error}.")
    return CatalogCorrupt(f"The job catalogue {str(path)!r} is damaged: {error}.")


@contextmanager
def typed_errors(path: Path) -> Generator[None]:
    """Turn SQLite failures inside the block into errors of this package.

    Raises:
        CatalogBusy, CatalogCorrupt, DiskFull, WorkspaceUnusable: What happened.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise as_lab_error(error, path) from error


class Transaction:
    """One open transaction: statements are sent by name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queries = queries()

    def run(self, name: str, **values: object) -> int:
        """Send a statement and return how many rows it changed."""
        return self._connection.execute(self._queries[name], values).rowcount

    def one(self, name: str, **values: object) -> Any:
        """Return the first row, or None."""
        return self._connection.execute(self._queries[name], values).fetchone()

    def all(self, name: str, **values: object) -> Sequence[Any]:
        """Return every row."""
        return self._connection.execute(self._queries[name], values).fetchall()


class Catalog:
    """The catalogue of one workspace; safe to use from many threads and processes."""

    def __init__(self, path: Path, *, guard: Path | None) -> None:
        self.path = path
        self._guard = guard

    @contextmanager
    def write(self) -> Generator[Transaction]:
        """Open a transaction that may write; it commits when the block ends and rolls back when it raises.

        Raises:
            CatalogBusy, CatalogCorrupt, DiskFull, WorkspaceUnusable: Nothing was written.
        """
        with self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction

    @contextmanager
    def read(self) -> Generator[Transaction]:
        """Open a transaction that sees one state of the catalogue; see `write` for errors."""
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextmanager
    def _transaction(self, begin: str) -> Generator[Transaction]:
        with typed_errors(self.path), self._shared():
            connection = connect(self.path)
            try:
                connection.execute(begin)
                yield Transaction(connection)
                connection.execute("COMMIT")
            finally:
                # On a full disk SQLite has already rolled back; a blind ROLLBACK would hide why.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.close()

    def _shared(self) -> AbstractContextManager[None]:
        """Keep a rebuild, which replaces the file, out for the length of one transaction."""
        return nullcontext() if self._guard is None else _guarded(self._guard)


@contextmanager
def _guarded(path: Path) -> Generator[None]:
    try:
        with hold_lock(path, shared=True):
            yield
    except FileNotFoundError as error:
        raise WorkspaceUnusable(f"The folder {str(path.parent)!r} is gone.") from error
