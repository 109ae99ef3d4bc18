"""The migrations and the tables that the code has in mind are the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from support import draft, names, opened, sequences

from madang.core.models import LOBBY_ID
from madang.storage import messages, migrate
from madang.storage.schema import metadata
from madang.storage.store import FILE_NAME, Store


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_the_newest_revision_is_the_one_that_the_code_knows() -> None:
    assert scripts().get_heads() == [migrate.HEAD]


def test_revisions_sort_as_they_follow() -> None:
    """Whether a file is newer is told by comparing the names of revisions."""
    newest_first = [script.revision for script in scripts().walk_revisions()]
    assert newest_first == sorted(newest_first, reverse=True)


async def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        return found

    assert await store.read(differences) == []


async def test_even_what_alembic_does_not_compare_is_the_same(sqlite: Store) -> None:
    """Keys that are never reused, tables without rowids, columns that may be null, the columns of each index."""

    def shape(connection: sa.Connection) -> dict[str, Any]:
        found: dict[str, Any] = {}
        tables = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'alembic%'"
        for name, sql in connection.exec_driver_sql(tables).all():
            flags = ("AUTOINCREMENT" in sql.upper(), "WITHOUT ROWID" in sql.upper())
            columns = connection.exec_driver_sql(f"PRAGMA table_info('{name}')").all()
            indexes = set()
            for _, index, unique, *_rest in connection.exec_driver_sql(f"PRAGMA index_list('{name}')").all():
                parts = connection.exec_driver_sql(f"PRAGMA index_info('{index}')").all()
                own_name = None if index.startswith("sqlite_") else index  # SQLite's own are numbered as they come
                indexes.add((own_name, unique, tuple(part[2] for part in parts)))
            found[name] = (flags, [tuple(column) for column in columns], indexes)
        return found

    fresh = sa.create_engine("sqlite://")
    with fresh.begin() as connection:
        metadata.create_all(connection)
        expected = shape(connection)
    fresh.dispose()
    assert await sqlite.read(shape) == expected


async def test_a_copy_holds_what_only_the_log_has(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft()])
        copy = migrate.copy_aside(tmp_path / FILE_NAME, "0000")
    assert copy.name == "madang.db.schema-0000"
    assert copy.stat().st_mode & 0o777 == 0o600
    (tmp_path / "restored").mkdir()
    copy.rename(tmp_path / "restored" / FILE_NAME)
    async with opened(tmp_path / "restored") as store:
        assert await store.read(messages.head, LOBBY_ID) == 1


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one transaction: the next start begins where this one did."""
    upgrade = migrate.upgrade

    def fail_at_the_end(connection: sa.Connection, now: int) -> None:
        upgrade(connection, now)
        raise sa.exc.OperationalError("", None, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "upgrade", fail_at_the_end)
        with pytest.raises(Exception, match="full"):
            async with opened(tmp_path):
                pass
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    async with opened(tmp_path) as store:
        assert sequences(await store.append([draft()])) == [1]


async def test_a_file_that_is_up_to_date_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        async with opened(tmp_path):
            pass
    assert names(tmp_path) == [FILE_NAME, "madang.lock"]
