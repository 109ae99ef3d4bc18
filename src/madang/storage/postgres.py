"""PostgreSQL as the store of many nodes. The same functions as for SQLite, through `AsyncConnection.run_sync`.

One connection writes. Its transactions are begun and committed by hand: what a COMMIT answers has to be looked at, for
in a transaction that failed PostgreSQL answers it with a ROLLBACK and no error. The others read, each statement by
itself, so that it sees everything that was committed before.

What fails before its COMMIT was sent is run again, a few times. When the connection breaks while COMMIT is under way
nobody knows whether it happened, and that is what the caller is told: the repeat with the same request_id settles it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from madang.storage import pooler
from madang.storage.database import Failures, Readings
from madang.storage.errors import is_of_a_value, not_storable, unavailable

T = TypeVar("T")

CONNECT_WITHIN = 5.0
STATEMENT_WITHIN = 10.0
LOCK_WITHIN = 5.0
IDLE_WITHIN = 2.0
"""After how many seconds PostgreSQL ends a transaction whose node is silent: a frozen node must lose its locks."""
ANSWER_WITHIN = STATEMENT_WITHIN + 2
"""When a node gives up a connection that does not answer at all, seconds."""
TURN_WITHIN = 10.0
"""How long a read waits for a free connection, seconds."""
RESTS = (0.02, 0.1, 0.3, 0.6)
"""How long to rest before a transaction is run again, seconds, each about so long."""

SERVER_SETTINGS = {
    "application_name": "madang",
    "statement_timeout": f"{STATEMENT_WITHIN * 1000:.0f}",
    "lock_timeout": f"{LOCK_WITHIN * 1000:.0f}",
    "idle_in_transaction_session_timeout": f"{IDLE_WITHIN * 1000:.0f}",
    "jit": "off",
}

_DURABLE = (
    "SELECT set_config(name, CASE setting WHEN 'off' THEN 'on' ELSE setting END, false) "
    "FROM pg_settings WHERE name = 'synchronous_commit'"
)
"""A COMMIT is answered when it is on disk, and on the standbys if the server says so; as long as the connection lives,
whatever is set for the server meanwhile."""

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Not READ WRITE: an operator may have set default_transaction_read_only, and means it."""
_CACHED_STATEMENTS = 400

_AGAIN = frozenset({"40001", "40P01", "0A000"})
"""Serialization failure, deadlock, and a plan that another node's migration made void."""
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
"""The server ends the session: a shutdown, a crash, a start, a session that was idle for too long."""
_READ_ONLY = "25006"
_OUT_OF_TIME = frozenset({"55P03", "57014"})
"""A lock, or a statement, that took longer than it may."""
_VALUE = "22"
"""How the codes begin that tell of a value which cannot be taken."""
_MAX_PROBLEM = 200

_UNKNOWN = "it is not known whether this was stored: the server lost its database during the commit"
_UNREACHABLE = "the server cannot reach its database at the moment"
_SILENT = "the server's database does not answer in time"
_BUSY = "the server's database has too much to do at the moment"
_CANNOT_WRITE = "the server's database is read-only at the moment"
_FAILED = "the server's database failed; the server's log says why"
_log = logging.getLogger("madang.storage")

_DATABASE_ERRORS: Failures = (
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that was told its end, and has not come to it yet
    OSError,
    TimeoutError,
)


class Unconnected(Exception):
    """There is no connection. `state`: PostgreSQL's code for the reason; empty when nobody answered."""

    def __init__(self, detail: str, state: str = "") -> None:
        """`detail`: in the driver's words, for the operator."""
        super().__init__(detail)
        self.state = state

    @property
    def is_passing(self) -> bool:
        """Whether another try may succeed: the server is not there, starts, stops, or has no connection to spare."""
        return self.state in ("", "57P03", "53300") or self.state in _LOST or self.state.startswith("08")


class _AgainError(Exception):
    """A try failed and left nothing; another may succeed. `problem`: for callers; the rest is for the log."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


@dataclass(slots=True, eq=False)
class _Link:
    """A connection: SQLAlchemy's, and the driver's under it."""

    connection: AsyncConnection
    raw: Any

    async def run(self, operation: Callable[[sa.Connection], T]) -> T:
        return await self.connection.run_sync(_run, operation)

    async def roll_back(self) -> bool:
        """End what was begun; says whether the connection is still good for something."""
        try:
            if not self.raw.is_closed():
                await self.raw.execute("ROLLBACK")
                return True
        except _DATABASE_ERRORS:
            pass
        await self.drop()
        return False

    async def drop(self) -> None:
        """Let go of the connection at once. PostgreSQL undoes what was begun on it."""
        self.raw.terminate()
        await self.connection.invalidate()
        await self.connection.close()


class PostgresDatabase:
    """See `madang.storage.database.Database`. Connects when there is something to do, and again when it has to."""

    shared = True
    failures: Failures = _DATABASE_ERRORS

    def __init__(self, url: str, connections: int, patient: bool = False) -> None:
        """`url`: `postgresql://USER:PASSWORD@HOST:PORT/NAME`. `connections`: how many at most; one of them writes.
        `patient`: wait for answers as long as they take.
        """
        self.place = place_of(url)
        self._engine = _engine(url, None if patient else ANSWER_WITHIN)
        self._closed = False
        self._writing = asyncio.Lock()
        self._writer: _Link | None = None
        self._readers = max(1, connections - 1)
        self._turns = asyncio.Semaphore(self._readers)
        self._idle: list[_Link] = []
        self._reading = 0
        self._running: set[asyncio.Task[Any]] = set()
        self.readings = Readings("the database")

    async def write(self, operation: Callable[[sa.Connection], T], opening: str = "") -> T:
        """See Database. Raises StorageUnavailable; it says so when nobody knows whether something was stored."""
        result = await self._shielded(self._write(operation, f"{_BEGIN}; {opening}" if opening else _BEGIN))
        self.readings.answers += 1
        return result

    async def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """See Database. Raises StorageUnavailable."""
        return await self.readings.follow(self._shielded(self._read(operation)))

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are busy, and how many are open and idle."""
        writing = self._writing.locked()
        return self._reading + writing, len(self._idle) + (self._writer is not None and not writing)

    async def connect(self) -> None:
        """See whether there is a connection to be had, and keep it. Raises Unconnected."""
        async with self._writing:
            await self._link_to_write()

    async def changes_hands(self) -> bool:
        """See pooler. Raises Unconnected."""
        async with self._writing:
            link, holding = await self._link_to_write(), await self._open()
            found = True
            try:
                found = await pooler.changes_hands(link.raw, holding.raw)
            except _DATABASE_ERRORS as error:
                raise Unconnected(_detail(error), _state(error)) from error
            finally:
                if found:
                    await holding.drop()
                else:
                    self._idle.append(holding)
        return found

    async def close(self) -> None:
        """See Database."""
        self._closed = True
        while self._running:
            await asyncio.wait(self._running)
        links = self._idle if self._writer is None else [*self._idle, self._writer]
        self._idle, self._writer = [], None
        for link in links:
            await link.connection.close()
        await self._engine.dispose()

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """A caller that goes away leaves the connection in good order: what it asked for is finished."""
        if self._closed:
            work.close()
            raise RuntimeError("the database is closed")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ran)
        return await asyncio.shield(task)

    def _ran(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it too; nobody may

    async def _write(self, operation: Callable[[sa.Connection], T], begin: str) -> T:
        async with self._writing:
            for rest in (*RESTS, None):
                try:
                    return await self._write_once(operation, begin)
                except _AgainError as error:
                    if rest is None:
                        raise unavailable(f"nothing was stored: {error.problem}", str(error)) from error
                    await asyncio.sleep(rest * random.uniform(0.5, 1.5))
        raise AssertionError("the last try returns or raises")

    async def _write_once(self, operation: Callable[[sa.Connection], T], begin: str) -> T:
        committing = False
        try:
            link = await self._link_to_write()
            try:
                await link.raw.execute(begin)
                result = await link.run(operation)
                if link.raw.is_closed():
                    raise ConnectionError("the connection to the database was lost")
                committing = True
                answer = await link.raw.execute("COMMIT")
            except BaseException as error:
                if isinstance(error, self.failures) and _is_lost(error):
                    self._writer = None
                    await link.drop()
                elif not await link.roll_back():
                    self._writer = None
                elif _state(error) == _READ_ONLY:  # there may be another server by now that is not
                    self._writer = None
                    await link.drop()
                raise
        except Unconnected as error:
            if error.is_passing:
                raise _AgainError(_UNREACHABLE, str(error)) from error
            raise unavailable(f"nothing was stored: {_UNREACHABLE}", str(error)) from error
        except _DATABASE_ERRORS as error:
            if committing and _is_lost(error):
                raise unavailable(_UNKNOWN, _detail(error), settled=False) from error
            if _is_passing(error):
                raise _AgainError(_problem(error), _detail(error)) from error
            if isinstance(error, DBAPIError) and is_of_a_value(error):
                raise
            raise unavailable(f"nothing was stored: {_problem(error)}", _detail(error)) from error
        if answer != "COMMIT":
            raise unavailable(f"nothing was stored: {_FAILED}", f"it answered COMMIT with {answer}")
        return result

    async def _read(self, operation: Callable[[sa.Connection], T]) -> T:
        try:
            async with asyncio.timeout(TURN_WITHIN):
                await self._turns.acquire()
        except TimeoutError:
            raise unavailable(f"nothing was read: {_BUSY}", f"{self._readers} connections are busy") from None
        self._reading += 1
        try:
            try:
                return await self._read_once(operation)
            except _AgainError:
                return await self._read_once(operation)
        except _AgainError as error:
            raise unavailable(f"nothing was read: {error.problem}", str(error)) from error
        finally:
            self._reading -= 1
            self._turns.release()

    async def _read_once(self, operation: Callable[[sa.Connection], T]) -> T:
        try:
            link = self._idle.pop() if self._idle else await self._open()
        except Unconnected as error:
            raise _AgainError(_UNREACHABLE, str(error)) from error
        try:
            result = await link.run(operation)
        except _DATABASE_ERRORS as error:
            if _is_lost(error) or link.raw.is_closed():
                dead, self._idle = [link, *self._idle], []  # the others are as old
                for each in dead:
                    await each.drop()
                raise _AgainError(_problem(error), _detail(error)) from error
            self._idle.append(link)
            if _is_passing(error):
                raise _AgainError(_problem(error), _detail(error)) from error
            if isinstance(error, DBAPIError) and is_of_a_value(error):
                raise not_storable(error) from error
            raise unavailable(f"nothing was read: {_problem(error)}", _detail(error)) from error
        except Exception:
            self._idle.append(link)
            raise
        except BaseException:
            await link.drop()
            raise
        self._idle.append(link)
        return result

    async def _link_to_write(self) -> _Link:
        if self._writer is not None and self._writer.raw.is_closed():
            dead, self._writer = self._writer, None
            await dead.drop()
        if self._writer is None:
            self._writer = await self._open()
        return self._writer

    async def _open(self) -> _Link:
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                connection = await self._engine.connect()
                return _Link(connection, (await connection.get_raw_connection()).driver_connection)
        except _DATABASE_ERRORS as error:
            raise Unconnected(_detail(error), _state(error)) from error
        except ValueError:  # what it says may hold a part of the password
            problem = (
                "its address cannot be read: special characters in the user's name and the password are written as "
                "their codes, %40 for @ and %2F for /"
            )
            raise Unconnected(problem, _VALUE) from None


def place_of(url: str) -> str:
    """Where a database is, as it may be shown to anyone: its name and its host, without user and password."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if (not at and ":" in user) or "@" in parts.path + parts.query + parts.fragment:
        return "(an address that cannot be read)"
    return f"{unquote(parts.path.removeprefix('/')) or '(no name given)'} on {host or 'localhost'}"


def _run(connection: sa.Connection, operation: Callable[[sa.Connection], T]) -> T:
    try:
        return operation(connection)
    finally:
        connection.rollback()  # SQLAlchemy's own idea of a transaction, of which PostgreSQL hears nothing


def _engine(url: str, answer_within: float | None) -> AsyncEngine:
    async def connect(**_: object) -> Any:
        connection = await asyncpg.connect(
            url, timeout=CONNECT_WITHIN, command_timeout=answer_within, server_settings=SERVER_SETTINGS
        )
        try:
            await connection.execute(_DURABLE)
        except BaseException:
            connection.terminate()
            raise
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": connect, "prepared_statement_cache_size": _CACHED_STATEMENTS},
        poolclass=sa.NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # they are people's words, and errors are logged
    )

    @sa.event.listens_for(engine.sync_engine, "handle_error")
    def give_up(context: sa.engine.ExceptionContext) -> None:
        """A connection that gave no answer in time is not asked again, as a savepoint that is undone would: the next
        answer would be waited for as long.
        """
        if isinstance(context.original_exception, TimeoutError) and context.connection is not None:
            raw: Any = context.connection.connection.driver_connection
            raw.terminate()

    return engine


def _source(error: BaseException) -> BaseException:
    """The driver's own error, in whatever SQLAlchemy wrapped it."""
    if isinstance(error, DBAPIError):
        origin = error.orig or error
        return origin.__cause__ or origin
    return error


def _state(error: BaseException) -> str:
    """PostgreSQL's code for an error; empty for one that it did not send."""
    source = _source(error)
    if isinstance(source, ValueError):
        return _VALUE  # found by the driver, before anything was sent
    return getattr(source, "sqlstate", None) or ""


def _problem(error: BaseException) -> str:
    """What callers are told: nothing of the driver's words, which name hosts and users, and sound like their own."""
    if isinstance(_source(error), TimeoutError) or _state(error) in _OUT_OF_TIME:
        return _SILENT
    if _is_lost(error):
        return _UNREACHABLE
    if _state(error) in _AGAIN:
        return _BUSY
    return _CANNOT_WRITE if _state(error) == _READ_ONLY else _FAILED


def _detail(error: BaseException) -> str:
    """The first line of what an error says. PostgreSQL's details are not for everyone: they hold what is stored."""
    source = _source(error)
    if isinstance(source, TimeoutError):
        return "the database did not answer in time"
    if isinstance(source, socket.gaierror):
        return f"its host's name cannot be found: {source.strerror or source}"
    if isinstance(source, ConnectionRefusedError):
        return f"no server listens there: {source.strerror or 'connection refused'}"
    if isinstance(source, OSError):
        return source.strerror or str(source) or "no connection to the database"
    text = str(source.args[0]) if source.args else type(source).__name__
    return text.splitlines()[0][:_MAX_PROBLEM] if text else type(source).__name__


def _is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or as good as gone."""
    state = _state(error)
    return not state or state in _LOST or state.startswith("08")


def _is_passing(error: BaseException) -> bool:
    return _is_lost(error) or _state(error) in _AGAIN
