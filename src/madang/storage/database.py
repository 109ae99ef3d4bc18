"""Where transactions run. The store's functions are synchronous and take a `sqlalchemy.Connection`.

SQLite's calls block, so they run in threads: one for the writer, a few for the readers. A transaction is one trip to a
thread and back, where an asynchronous driver makes three or four trips for every statement (docs/decisions/0003). For
PostgreSQL the same functions run through `AsyncConnection.run_sync`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from madang.core.errors import StorageUnavailable

Connection = sa.Connection
"""What a reading function is given: nobody above the store needs to know more of it."""

T = TypeVar("T")


class Database(Protocol):
    """Runs functions in transactions."""

    async def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """Run in a transaction that is on disk when this returns. One at a time."""
        ...

    async def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """Run outside of a transaction; every statement sees what was committed before it."""
        ...

    async def close(self) -> None:
        """Wait for what runs, and close."""
        ...


class SqliteDatabase:
    """One data file: WAL, `synchronous=FULL`, one writer, a pool of readers."""

    def __init__(self, path: Path, readers: int = 3) -> None:
        self._writer = _Threads(
            1, "madang-writer", path, ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"), "BEGIN IMMEDIATE"
        )
        self._readers = _Threads(readers, "madang-reader", path, ("query_only=ON",), None)

    async def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """See Database. Raises StorageUnavailable when the file cannot be written."""
        return await self._writer.run(operation)

    async def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """See Database. Raises StorageUnavailable when the file cannot be read."""
        return await self._readers.run(operation)

    async def close(self) -> None:
        """See Database. The last connection to close folds the write-ahead log into the file."""
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._writer.close)


class _Threads:
    """A pool of threads, each with a connection of its own."""

    def __init__(self, count: int, name: str, path: Path, pragmas: tuple[str, ...], begin: str | None) -> None:
        self._engine = _engine(path, pragmas, begin)
        self._executor = ThreadPoolExecutor(count, name)
        self._own = threading.local()
        self._connections: list[sa.Connection] = []

    async def run(self, operation: Callable[[sa.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, operation)

    def close(self) -> None:
        self._executor.shutdown()
        for connection in self._connections:
            connection.close()
        self._engine.dispose()

    def _run(self, operation: Callable[[sa.Connection], T]) -> T:
        try:
            connection = self._connection()
            with connection.begin():
                return operation(connection)
        except DBAPIError as error:
            raise StorageUnavailable(problem=str(error.orig)) from error

    def _connection(self) -> sa.Connection:
        connection: sa.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._engine.connect()
            self._connections.append(connection)
        return connection


def _engine(path: Path, pragmas: tuple[str, ...], begin: str | None) -> sa.Engine:
    """An engine that leaves transactions to us: the sqlite3 module's own idea of when to begin one is switched off."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": 10},
        poolclass=sa.NullPool,
        hide_parameters=True,  # they are people's words, and errors are logged
    )

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    if begin is not None:

        @sa.event.listens_for(engine, "begin")
        def start(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

    return engine
