"""The store: opens the data file or the database, and runs what the services ask of it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from madang.core.errors import StorageUnavailable
from madang.core.events import Event
from madang.storage import migrate
from madang.storage.database import Database, SqliteDatabase
from madang.storage.errors import StoreUnusable
from madang.storage.lock import DirectoryLock
from madang.storage.transaction import Transaction
from madang.storage.writer import Append, Writer

P = ParamSpec("P")
T = TypeVar("T")

FILE_NAME = "madang.db"


class Store:
    """An open store. Made by `open_store`; `work` has to run for anything to be written."""

    def __init__(self, database: Database, writer: Writer, store_id: str, lock: DirectoryLock | None) -> None:
        self.store_id = store_id
        self.append = writer.append
        self.writer = writer
        self.database = database
        self._lock = lock

    async def write(self, operation: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `operation(transaction, …)` with the next group; return when it is on disk. Raises what it raises."""

        def bound(transaction: Transaction) -> T:
            return operation(transaction, *args, **kwargs)

        return await self.writer.run(bound)

    async def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query(connection, …)` on a reader."""

        def bound(connection: sa.Connection) -> T:
            return query(connection, *args, **kwargs)

        return await self.database.read(bound)

    async def work(self) -> None:
        """Write what is asked for, until `close`."""
        await self.writer.work()

    def drain(self) -> None:
        """Refuse new writes; `work` ends when those that wait are stored."""
        self.writer.close()

    async def close(self) -> None:
        """Close the file or the connections, after `work` has ended."""
        await self.database.close()
        if self._lock is not None:
            self._lock.release()


@dataclass(frozen=True, slots=True)
class SharedDatabase:
    """A PostgreSQL database that many nodes share.

    `connections`: to it, at most; one writes. `wait`: how long a start waits for one that is not there, seconds.
    """

    url: str
    connections: int = 8
    wait: float = 30.0


async def open_store(
    where: Path | SharedDatabase,
    append: Append,
    committed: Callable[[list[Event]], None],
    clock: Callable[[], int],
    unhurried: Callable[[], bool],
    recovered: Callable[[], None] = lambda: None,
) -> Store:
    """Open the store in a directory or in a database, making it when it is new, migrating it when it is old.

    `append`, `committed`, `unhurried` and `recovered`: see Writer. `clock`: microseconds since the epoch. Raises
    StoreError.
    """
    database: Database
    lock: DirectoryLock | None = None
    if isinstance(where, Path):
        database, store_id, lock = await _open_file(where, clock())
    else:
        from madang.storage.shared import open_database  # brings its driver along, which a data file does not need

        database, store_id = await open_database(where.url, where.connections, where.wait, clock())
    return Store(database, Writer(database, append, committed, clock, unhurried, recovered), store_id, lock)


async def _open_file(directory: Path, now: int) -> tuple[SqliteDatabase, str, DirectoryLock]:
    lock = DirectoryLock(directory)
    try:
        path = directory / FILE_NAME
        outdated = await asyncio.to_thread(_prepare, path)
        database = SqliteDatabase(path)
        try:
            store_id = await database.write(partial(_set_up, path, outdated, now))
        except StorageUnavailable as error:
            await database.close()
            raise StoreUnusable(path, error.detail or str(error)) from error
        except StoreUnusable:
            await database.close()
            raise
    except BaseException:
        lock.release()
        raise
    return database, store_id, lock


def _prepare(path: Path) -> bool:
    """Everything that happens to the file before it is opened for good: checks, a copy before a migration.

    Says whether there is something to migrate.
    """
    try:
        revision = migrate.check_file(path)
        if revision is None:
            _create(path)
        elif revision != migrate.HEAD:
            migrate.copy_aside(path, revision)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(path, str(error)) from error
    return revision != migrate.HEAD


def _create(path: Path) -> None:
    """Make the file, readable by its owner alone, with our mark in its header."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id={migrate.APPLICATION_ID}")


def _set_up(path: Path, outdated: bool, now: int, connection: sa.Connection) -> str:
    """Migrate, and make sure that the store has a name. Its name."""
    if outdated:
        migrate.upgrade(connection, now)
    return migrate.name_store(connection, path)
