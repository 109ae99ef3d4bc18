"""One store for each test. A second dialect is a second parameter, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from parts.postgres import Databases, Postgres
from support import Clock, Where, opened

from madang.core.events import Event
from madang.storage import directory, memberships
from madang.storage.store import Store
from madang.storage.transaction import Transaction

Open = Callable[[], AbstractAsyncContextManager[Store]]
Room = Callable[..., Awaitable[int]]


@pytest.fixture
def clock() -> Clock:
    """The store's clock."""
    return Clock()


@pytest.fixture
def groups() -> list[list[Event]]:
    """What the store told of each commit, in order."""
    return []


@pytest.fixture
def open_again(where: Where, groups: list[list[Event]], clock: Clock) -> Open:
    """Opens the test's store, as often as it is closed."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Store]:
        async with opened(where, groups.append, clock) as made:
            yield made

    return opening


@pytest.fixture
async def store(open_again: Open) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with open_again() as made:
        yield made


@pytest.fixture
def room(store: Store) -> Room:
    """Makes a channel with these members, the first of which owns it; its id."""

    def make(transaction: Transaction, name: str, members: tuple[int, ...]) -> int:
        channel = directory.create(transaction, name, "", members[0], None)
        for user_id in members:
            memberships.add(transaction, channel.channel_id, user_id)
        return channel.channel_id

    async def ask(*members: int, name: str = "kitchen") -> int:
        return await store.write(make, name, members)

    return ask


@pytest.fixture
async def sqlite(tmp_path: Path, groups: list[list[Event]], clock: Clock) -> AsyncIterator[Store]:
    """A store for what concerns SQLite alone."""
    async with opened(tmp_path / "data", groups.append, clock) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL server for the tests of one file alone, which may stop and start it."""
    made = Postgres()
    try:
        made.start()
        made.ask_for_passwords("locked")
        made.restart()
        yield made
    finally:
        made.close()


@pytest.fixture
async def empty(server: Postgres) -> str:
    """The address of an empty database on that server."""
    return await Databases(server.url("postgres")).new()
