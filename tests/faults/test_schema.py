"""F20: catalogues of older, newer, foreign and half-migrated schema, and several servers migrating at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from interp_lab.errors import CatalogCorrupt, CatalogTooNew
from interp_lab.jobs.catalog import APPLICATION_ID
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.migrate import _back_up, migrate, statements
from interp_lab.jobs.queries import Migration, released_migrations
from tests.faults.conftest import Record
from tests.faults.rig import HERE, settings, spec, wait_for

NEXT = Migration(
    released_migrations()[-1].version + 1,
    "CREATE TABLE extra (a TEXT);\nINSERT INTO extra SELECT id FROM jobs;\n"
    "ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'red; blue';\n",
)
FUTURE = (*released_migrations(), NEXT)


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def old_catalog(workspace: Path) -> Path:
    """Return a catalogue of the newest released schema, with one job in it."""
    engine = JobEngine(settings(workspace))
    engine.submit(spec("count", steps=1))
    engine.close()
    return engine.paths.catalog


def backups(catalog: Path) -> list[Path]:
    return sorted(catalog.parent.glob("catalog.schema-*.sqlite"))


def test_a_new_catalogue_carries_its_mark_and_settings(old_catalog: Path) -> None:
    assert query(old_catalog, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(old_catalog, "PRAGMA user_version") == [(released_migrations()[-1].version,)]
    assert query(old_catalog, "PRAGMA journal_mode") == [("delete",)]


def test_an_older_catalogue_is_migrated_with_its_data_and_a_backup(old_catalog: Path) -> None:
    before = query(old_catalog, "SELECT id FROM jobs")
    migrate(old_catalog, FUTURE)
    assert query(old_catalog, "SELECT a FROM extra") == before
    assert query(old_catalog, "SELECT colour FROM jobs") == [("red; blue",)]
    (backup,) = backups(old_catalog)
    assert query(backup, "SELECT id FROM jobs") == before
    assert query(backup, "PRAGMA user_version") == [(NEXT.version - 1,)]
    assert not list(old_catalog.parent.glob("*.tmp"))


def test_a_newer_catalogue_is_refused_and_not_touched(workspace: Path, old_catalog: Path) -> None:
    migrate(old_catalog, FUTURE)
    content = old_catalog.read_bytes()
    with pytest.raises(CatalogTooNew, match=f"schema {NEXT.version}"):
        JobEngine(settings(workspace))
    assert old_catalog.read_bytes() == content


def test_a_migration_that_fails_leaves_the_old_schema_whole(old_catalog: Path) -> None:
    broken = Migration(NEXT.version, NEXT.sql + "CREATE TABLE jobs (x);\n")
    with pytest.raises(CatalogCorrupt):
        migrate(old_catalog, (*released_migrations(), broken))
    assert query(old_catalog, "PRAGMA user_version") == [(NEXT.version - 1,)]
    assert query(old_catalog, "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == [(0,)]
    assert migrate(old_catalog, FUTURE) == NEXT.version - 1


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    content = path.read_bytes()
    with pytest.raises(CatalogCorrupt, match="not a job catalogue"):
        migrate(path)
    assert path.read_bytes() == content


def test_statements_are_split_where_sqlite_would_split_them() -> None:
    assert [s.strip() for s in statements("A 'x;\ny';\n-- c;\nB;\n")] == ["A 'x;\ny';", "-- c;\nB;"]


def test_eight_processes_that_migrate_at_once_do_it_once(old_catalog: Path, record: Record) -> None:
    running = [
        subprocess.Popen([sys.executable, "-P", str(HERE / "migrating.py"), str(old_catalog), NEXT.sql])
        for _ in range(8)
    ]
    assert [process.wait(timeout=600) for process in running] == [0] * 8
    record(migrations_at_once=8, jobs_lost=int(query(old_catalog, "SELECT count(*) FROM jobs") != [(1,)]))
    assert query(old_catalog, "PRAGMA user_version") == [(NEXT.version,)]
    assert query(old_catalog, "SELECT count(*) FROM extra") == [(1,)]
    assert query(old_catalog, "PRAGMA integrity_check") == [("ok",)]
    for backup in backups(old_catalog):
        assert query(backup, "PRAGMA user_version") == [(NEXT.version - 1,)]


def test_eight_servers_that_open_an_empty_workspace_at_once_agree(workspace: Path, record: Record) -> None:
    path = workspace / "new.sqlite"
    running = [subprocess.Popen([sys.executable, "-P", str(HERE / "migrating.py"), str(path)]) for _ in range(8)]
    assert [process.wait(timeout=600) for process in running] == [0] * 8
    record(migrations_at_once=8)
    assert query(path, "PRAGMA user_version") == [(released_migrations()[-1].version,)]


def test_a_migration_that_is_killed_half_way_is_rolled_back_and_done_again(old_catalog: Path, record: Record) -> None:
    endless = "INSERT INTO extra WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;\n"
    process = subprocess.Popen([sys.executable, "-P", str(HERE / "migrating.py"), str(old_catalog), NEXT.sql + endless])
    journal = old_catalog.with_name(old_catalog.name + "-journal")
    wait_for(lambda: journal.exists() and backups(old_catalog), what="the middle of the migration")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert migrate(old_catalog, FUTURE) == NEXT.version - 1
    record(kills=1, jobs_lost=int(query(old_catalog, "SELECT count(*) FROM jobs") != [(1,)]))
    assert query(old_catalog, "SELECT count(*) FROM extra") == [(1,)]
    assert query(old_catalog, "PRAGMA integrity_check") == [("ok",)]


def test_a_backup_that_another_servers_migration_has_overtaken_is_dropped(old_catalog: Path) -> None:
    migrate(old_catalog, FUTURE)
    (kept,) = backups(old_catalog)
    content = kept.read_bytes()
    with closing(sqlite3.connect(old_catalog)) as connection:
        _back_up(connection, old_catalog, NEXT.version - 1)
    assert backups(old_catalog) == [kept]
    assert kept.read_bytes() == content
