"""What the client keeps of its work: the outbox and the positions. On disk, or nowhere; one small interface."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import aiosqlite

_VERSION = 1
_SCHEMA = """
BEGIN;
CREATE TABLE outbox (place INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, channel_id INTEGER NOT NULL,
                     channel_name TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE positions (channel_id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, store_id TEXT NOT NULL) STRICT;
PRAGMA user_version = 1;
COMMIT;
"""
_DELETE = "DELETE FROM outbox WHERE request_id = ?"
_INSERT = "INSERT INTO outbox (request_id, channel_id, channel_name, text) VALUES (?, ?, ?, ?)"
_MOVE = "INSERT OR REPLACE INTO positions (channel_id, sequence, store_id) VALUES (?, ?, ?)"
_LEAVE = "DELETE FROM positions WHERE channel_id = ?"


class StateError(RuntimeError):
    """The state directory cannot be used; the text says why."""


class Post(NamedTuple):
    """A message of the outbox. `channel_id` is 0 where the channel was only named."""

    request_id: str
    channel_id: int
    channel_name: str
    text: str


class Place(NamedTuple):
    """A position, and the history (store_id) that it came from."""

    sequence: int
    store_id: str


class Changes(NamedTuple):
    """What changed since the last commit. A position of None: the channel is no longer read."""

    added: Sequence[Post] = ()
    removed: Sequence[str] = ()
    positions: Mapping[int, Place | None] = {}


class Store(Protocol):
    """Keeps the outbox, in order, and the positions."""

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives the process."""
        ...

    async def outbox(self) -> list[Post]:
        """The messages that were added and not removed, in the order in which they were added."""
        ...

    async def positions(self) -> dict[int, Place]:
        """The positions, by channel."""
        ...

    async def commit(self, changes: Changes) -> None:
        """Keep all the changes, or none. When this returns, they are on disk. Raises OSError when that fails."""
        ...

    async def forget(self) -> None:
        """Drop everything."""
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


class MemoryStore:
    """Keeps nothing: the client's own memory is all there is."""

    durable = False

    async def outbox(self) -> list[Post]:
        """Nothing."""
        return []

    async def positions(self) -> dict[int, Place]:
        """None."""
        return {}

    async def commit(self, changes: Changes) -> None:
        """Do nothing."""

    async def forget(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class FileStore:
    """Keeps everything in one SQLite file."""

    durable = True

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> FileStore:
        """Open the file, or make it (mode 0600). Raises StateError when it is not ours, or a newer version's."""
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            await _prepare(connection)
        except aiosqlite.DatabaseError as error:
            await connection.close()
            raise StateError(f"{path}: {error}") from None
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    async def outbox(self) -> list[Post]:
        """The messages, in order."""
        rows = await self._connection.execute_fetchall(
            "SELECT request_id, channel_id, channel_name, text FROM outbox ORDER BY place"
        )
        return [Post(*row) for row in rows]

    async def positions(self) -> dict[int, Place]:
        """The positions."""
        rows = await self._connection.execute_fetchall("SELECT channel_id, sequence, store_id FROM positions")
        return {channel_id: Place(sequence, store_id) for channel_id, sequence, store_id in rows}

    async def commit(self, changes: Changes) -> None:
        """Keep the changes in one transaction."""
        moved = [(channel_id, *place) for channel_id, place in changes.positions.items() if place is not None]
        left = [(channel_id,) for channel_id, place in changes.positions.items() if place is None]
        removed = [(request_id,) for request_id in changes.removed]
        steps = (_DELETE, removed), (_INSERT, changes.added), (_MOVE, moved), (_LEAVE, left)
        await self._transaction([(statement, rows) for statement, rows in steps if rows])

    async def forget(self) -> None:
        """Empty the file."""
        await self._transaction([("DELETE FROM outbox", [()]), ("DELETE FROM positions", [()])])

    async def close(self) -> None:
        """Close the file."""
        await self._connection.close()

    async def _transaction(self, steps: Sequence[tuple[str, Sequence[Sequence[object]]]]) -> None:
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in steps:
                    await self._connection.executemany(statement, rows)
                await self._connection.execute("COMMIT")
            except BaseException:
                await self._connection.rollback()
                raise
        except aiosqlite.Error as error:
            raise OSError(f"the outbox cannot be written: {error}") from error


async def _prepare(connection: aiosqlite.Connection) -> None:
    await connection.execute("PRAGMA journal_mode = WAL")
    await connection.execute("PRAGMA synchronous = FULL")
    [(version,)] = await connection.execute_fetchall("PRAGMA user_version")
    if version > _VERSION:
        raise StateError(f"the state was written by a newer version of madang ({version}, this one knows {_VERSION})")
    if version == 0:
        await connection.executescript(_SCHEMA)
