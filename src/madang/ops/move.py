"""`madang move`: everything from a data file to PostgreSQL, with every number as it was.

Rows go over in the order of their keys, so where an interrupted move stopped is where the target's highest keys are:
run again, it goes on. While it is under way the target is marked, and no server starts on it; at the end both sides are
read once more and their checksums compared, and only then the target gets the store's name (`store_id`) and the data
file a mark that it moved. Clients find the same history under the same name, so their positions are still good.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa

from madang.core.errors import StorageUnavailable
from madang.ops import tables
from madang.ops.tables import TABLES, Table
from madang.storage import migrate
from madang.storage.errors import StoreError
from madang.storage.lock import DirectoryLock
from madang.storage.marks import MOVED, MOVING, STORE_ID
from madang.storage.postgres import PostgresDatabase
from madang.storage.schema import channels, store_info
from madang.storage.shared import ALONE, reach

TELL_EVERY = 2.0
"""How often it is told how far a table is, seconds."""

_LOCK = 0x6D6F7665
"""The number of PostgreSQL's advisory lock that a move holds: "move"."""
_AGAIN = "run the same command again: it goes on where it stopped"

Tell = Callable[[str], None]


class MoveError(Exception):
    """A move cannot begin, or did not come to its end; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved: how many rows of each table. `again`: it was all there already."""

    store_id: str
    rows: dict[str, int]
    again: bool = False


async def move(source: Path, target: str, tell: Tell, now: int) -> Moved:
    """Move a store. `source`: the data file; `target`: the URL of an empty database, or of one to which a move of this
    store has begun; `now`: microseconds; `tell` is given lines about how far it is.

    Raises MoveError.
    """
    database = PostgresDatabase(target, 1, patient=True)  # it makes the tables, however long that takes
    place = database.place
    try:
        with _opened(source) as data:
            store_id = _store_id(source, data, place)
            await reach(database, f"the database {place}", 0)
            connection = await asyncpg.connect(target, server_settings=_SETTINGS)
            try:
                moved = await _Move(data, connection, database, store_id, tell).run(now)
            finally:
                await connection.close(timeout=5)
            _mark(source, place)
            return moved
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise MoveError(f"{place}: {_told(error)}; when that is mended, {_AGAIN}") from error
    except sqlite3.Error as error:
        raise MoveError(f"{source}: {error}") from error
    except StorageUnavailable as error:
        raise MoveError(f"{place}: {error.detail or error}; when that is mended, {_AGAIN}") from error
    except StoreError as error:
        raise MoveError(str(error)) from error
    finally:
        await database.close()


_SETTINGS = {
    "application_name": "madang move",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}


class _Move:
    """One run, over open connections."""

    def __init__(
        self, data: sqlite3.Connection, target: Any, database: PostgresDatabase, store_id: str, tell: Tell
    ) -> None:
        """`target`: the connection over which rows go; `database`: for what the store's own functions do."""
        self._data = data
        self._target = target
        self._database = database
        self._store_id = store_id
        self._place = database.place
        self._tell = tell

    async def run(self, now: int) -> Moved:
        if not await self._target.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise MoveError(f"another move to {self._place} is under way")
        state = await self._look()
        if state == "moved":
            return Moved(self._store_id, {}, again=True)
        if state == "empty":
            await self._prepare(now)
        else:
            self._tell(f"going on with the move that began to {self._place}")
        for table in TABLES:
            await self._copy(table)
        rows = {table.name: await self._compare(table) for table in TABLES}
        await self._finish()
        return Moved(self._store_id, rows)

    async def _look(self) -> str:
        """What the target is: `empty`, `moving` (a move of this store to it has begun) or `moved`."""
        found = {row[0] for row in await self._target.fetch(_OUR_TABLES)}
        if not found:
            return "empty"
        if store_info.name not in found or "alembic_version" not in found:
            raise MoveError(f"{self._place} holds tables of another program ({min(found)}); give it an empty database")
        revision = await self._target.fetchval("SELECT version_num FROM alembic_version")
        marks = dict(await self._target.fetch("SELECT key, value FROM store_info"))
        if MOVING not in marks:
            if marks.get(STORE_ID) == self._store_id:
                return "moved"
            raise MoveError(f"{self._place} holds a store already; give it an empty database")
        if marks[MOVING] != self._store_id:
            raise MoveError(f"a move of another store to {self._place} has begun; give it an empty database")
        if revision != migrate.HEAD:
            raise MoveError(
                f"the move to {self._place} was begun by another version of Madang (schema {revision}); go on with "
                "that one, or begin again with an empty database"
            )
        return "moving"

    async def _prepare(self, now: int) -> None:
        """Make the tables, empty, and leave the mark, in one transaction."""
        self._tell(f"making the tables in {self._place}")

        migrate.load()  # takes a while, and a transaction that is idle for long is ended
        await self._database.write(partial(_make, self._store_id, self._place, now), ALONE)

    async def _copy(self, table: Table) -> None:
        """Copy what the target does not have of a table."""
        last = await self._target.fetchrow(table.last_key)
        total = tables.count(self._data, table)
        done = await self._target.fetchval(f"SELECT count(*) FROM {table.name}")  # noqa: S608 - a name of our own
        told = time.monotonic()
        for batch in tables.in_batches(tables.read(self._data, table, last)):
            await self._target.copy_records_to_table(
                table.name, records=[table.of(row) for row in batch], columns=table.columns
            )
            done += len(batch)
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                self._tell(f"{table.name}: {done} of {total} ({100 * done // max(total, 1)} %)")
        self._tell(f"{table.name}: {done} of {total}")

    async def _compare(self, table: Table) -> int:
        """Read a table on both sides; how many rows it has. Raises MoveError when they are not the same."""
        ours = tables.digest(tables.read(self._data, table))
        async with self._target.transaction(isolation="repeatable_read", readonly=True):
            theirs = await tables.digest_of(self._target.cursor(table.select, prefetch=2000))
        if (ours.count, ours.value) != (theirs.count, theirs.value):
            raise MoveError(
                f"{table.name} is not the same on both sides ({ours.count} rows here, {theirs.count} there): the data "
                f"changed after the move began, or the target did. Drop the database, make it anew, and move again"
            )
        self._tell(f"{table.name}: {ours.count} rows, the same on both sides (SHA-256 {ours.value[:16]}…)")
        return ours.count

    async def _finish(self) -> None:
        """Numbers go on where they were; then, and not before, the target has the store's name."""
        for table in TABLES:
            if table.counter is not None:
                highest = tables.next_number(self._data, table)
                await self._target.execute(
                    "SELECT setval(pg_get_serial_sequence($1, $2), $3, $4)",
                    table.name,
                    table.counter,
                    max(highest, 1),
                    highest > 0,
                )
        await self._target.execute("ANALYZE")
        kept = self._data.execute("SELECT key, value FROM store_info WHERE key != ?", (MOVED,)).fetchall()
        async with self._target.transaction():
            await self._target.execute("DELETE FROM store_info WHERE key = $1", MOVING)
            # What the database says about itself is not to be said anew: whom its schema serves.
            insert = "INSERT INTO store_info (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"
            await self._target.executemany(insert, kept)


def _make(store_id: str, place: str, now: int, connection: sa.Connection) -> None:
    if sa.inspect(connection).has_table(store_info.name):
        raise MoveError(f"{place} got tables just now: a server has started on it; give the move an empty database")
    migrate.upgrade(connection, now)
    migrate.note_whom_it_serves(connection)
    connection.execute(sa.delete(channels))  # the lobby of a new store; ours comes with the others
    connection.execute(sa.insert(store_info).values(key=MOVING, value=store_id))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The data file, which nobody else uses meanwhile. Raises MoveError, StoreError, sqlite3.Error."""
    if migrate.check_file(path) is None:
        raise MoveError(f"there is no data: {path.absolute()} is not there, or empty")
    with DirectoryLock(path.parent):
        revision = migrate.check_file(path)
        if revision != migrate.HEAD:
            raise MoveError(
                f"{path} is of an earlier version (its schema is {revision}, this version's is {migrate.HEAD}): start "
                "this version's server on it once, stop it in order, and move then"
            )
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only=ON")
            yield connection


def _store_id(path: Path, data: sqlite3.Connection, place: str) -> str:
    marks: dict[str, str] = dict(data.execute("SELECT key, value FROM store_info").fetchall())
    if STORE_ID not in marks:
        raise MoveError(f"{path} has no name yet: start the server on it once, stop it in order, and move then")
    if marks.get(MOVED, place) != place:
        raise MoveError(f"{path} has moved to {marks[MOVED]} already")
    return marks[STORE_ID]


def _mark(path: Path, place: str) -> None:
    """The data file is history from now on: no server is to go on with it beside the other."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT OR REPLACE INTO store_info (key, value) VALUES (?, ?)", (MOVED, place))


_OUR_TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() UNION "
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
)


def _told(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return str(error).strip() or type(error).__name__
