"""Where transactions run. The store's functions are synchronous and take a `sqlalchemy.Connection`.

SQLite's calls block, so they run in threads: one for the writer, a few for the readers. A transaction is one trip to a
thread and back, where an asynchronous driver makes three or four trips for every statement (docs/decisions/0003). For
PostgreSQL the same functions run through `AsyncConnection.run_sync`: see `madang.storage.postgres`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from sqlite3 import Connection as SqliteConnection
from threading import Thread
from typing import Any, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from madang.core.errors import StorageUnavailable
from madang.core.outages import Outage
from madang.storage.errors import unavailable

Connection = sa.Connection
"""What a reading function is given: nobody above the store needs to know more of it."""

T = TypeVar("T")

Failures = tuple[type[Exception], ...]

_log = logging.getLogger("madang.storage")


class Database(Protocol):
    """Runs functions in transactions."""

    shared: bool
    """Whether others may write into the same database: then a transaction has to lock what it decides over."""
    failures: Failures
    """What is raised inside of an operation where the database failed, and not the operation. SQLAlchemy does not wrap
    everything that a driver raises: a timeout arrives as it is.
    """
    readings: Readings
    """What became of what was read."""

    async def write(self, operation: Callable[[sa.Connection], T], opening: str = "") -> T:
        """Run in a transaction that is on disk when this returns. One at a time; maybe more than once, when an earlier
        try is known to have left nothing. `opening`: SQL that begins it, where the database is shared.
        """
        ...

    async def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """Run outside of a transaction; every statement sees what was committed before it."""
        ...

    async def close(self) -> None:
        """Wait for what runs, and close."""
        ...


class Readings:
    """Counts what a database has answered, and tells the log when it cannot be read, and when it can again: callers are
    told nothing of its words.
    """

    def __init__(self, what: str) -> None:
        """`what`: the database, as it is called in the log."""
        self.answers = 0
        """How often it has answered."""
        self._what = what
        self._outage = Outage()

    async def follow(self, reading: Awaitable[T]) -> T:
        """What is read. Raises StorageUnavailable."""
        try:
            result = await reading
        except StorageUnavailable as error:
            for_how_long = self._outage.failed(asyncio.get_running_loop().time())
            if for_how_long is not None:
                _log.error("%s cannot be read%s: %s", self._what, for_how_long, error.in_full)
            raise
        self.answers += 1
        failed_for = self._outage.worked(asyncio.get_running_loop().time())
        if failed_for is not None:
            _log.warning("%s can be read again; it could not %s", self._what, failed_for)
        return result


class SqliteDatabase:
    """One data file: WAL, `synchronous=FULL`, one writer, a pool of readers."""

    shared = False
    failures: Failures = (DBAPIError,)

    def __init__(self, path: Path, readers: int = 3) -> None:
        self._writer = _Threads(
            1,
            "madang-writer",
            path,
            ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "wal_autocheckpoint=4000"),
            "BEGIN IMMEDIATE",
            "nothing was stored: the server cannot write its data file at the moment",
        )
        self.readings = Readings("the data file")
        failed = "nothing was read: the server cannot read its data file at the moment"
        self._readers = _Threads(readers, "madang-reader", path, ("query_only=ON",), None, failed)

    async def write(self, operation: Callable[[sa.Connection], T], opening: str = "") -> T:
        """See Database. Raises StorageUnavailable when the file cannot be written."""
        return await self._writer.run(operation)

    async def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """See Database. Raises StorageUnavailable when the file cannot be read."""
        return await self.readings.follow(self._readers.run(operation))

    async def close(self) -> None:
        """See Database. The last connection to close folds the write-ahead log into the file."""
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._writer.close)


class _Threads:
    """A few threads, each with a connection of its own.

    An executor of the standard library would do the same, with two futures, two locks and two more turns of the event
    loop for each transaction: in a conversation that is felt.
    """

    def __init__(
        self, count: int, name: str, path: Path, pragmas: tuple[str, ...], begin: str | None, problem: str
    ) -> None:
        """`problem`: what callers are told when SQLite fails; what it said is for the log."""
        self._engine = _engine(path, pragmas, begin)
        self._problem = problem
        self._closed = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, operation: Callable[[sa.Connection], T]) -> T:
        if self._closed:
            raise RuntimeError("the database is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(operation, loop, done))
        return await done

    def close(self) -> None:
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _work(self) -> None:
        connection: sa.Connection | None = None
        while (job := self._jobs.get()) is not None:
            result: Any = None
            failure: BaseException | None = None
            try:
                if connection is None:
                    connection = self._engine.connect()
                with connection.begin():
                    result = job.operation(connection)
            except DBAPIError as error:
                failure = unavailable(self._problem, str(error.orig))
                failure.__cause__ = error
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                job.loop.call_soon_threadsafe(_settle, job.done, result, failure)
            del job, result, failure
        if connection is not None:
            connection.close()


class _Job(NamedTuple):
    """An operation, and who waits for it."""

    operation: Callable[[sa.Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


def _settle(done: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if done.done():  # its caller has gone
        return
    if failure is None:
        done.set_result(result)
    else:
        done.set_exception(failure)


def _engine(path: Path, pragmas: tuple[str, ...], begin: str | None) -> sa.Engine:
    """An engine that leaves transactions to us: the sqlite3 module's own idea of when to begin one is switched off."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": 10, "cached_statements": 512},
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
