"""Two nodes write into one PostgreSQL database: one order, each message once, and what holds for one writer."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from parts.postgres import execute, fetch
from sqlalchemy.util import await_only
from support import PATIENCE, draft, opened, refused, sequences

from madang.core.errors import StorageUnavailable, TextNotAllowed, UserNotFound
from madang.core.events import Event
from madang.core.models import LOBBY_ID, Changes, Content, Draft, Message, ServerRole, UserKind
from madang.services import posting
from madang.storage import accounts, directory, memberships, messages
from madang.storage.store import Store
from madang.storage.transaction import Transaction

PEOPLE = range(1, 11)
OTHER_BACKENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"  # noqa: E501


@pytest.fixture
def told() -> list[list[Event]]:
    """What both stores told of their commits."""
    return []


@pytest.fixture
async def nodes(database: str, told: list[list[Event]]) -> AsyncIterator[list[Store]]:
    """Two open stores on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(database, told.append)) for _ in range(2)]


def make_rooms(transaction: Transaction, count: int) -> list[int]:
    rooms = [directory.create(transaction, f"room-{number}", "", 1, None).channel_id for number in range(count)]
    for channel_id in rooms:
        for user_id in PEOPLE:
            memberships.add(transaction, channel_id, user_id)
    return rooms


async def history(store: Store, channel_id: int) -> list[Message]:
    return (await store.read(messages.changed, channel_id, 0, 10**6, 2**40)).messages


@asynccontextmanager
async def connected(database: str, **settings: str) -> AsyncIterator[Any]:
    """Somebody else's connection."""
    connection = await asyncpg.connect(database, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


async def results(*asked: Awaitable[Any]) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*asked, return_exceptions=True)


async def test_crowds_on_two_nodes_get_one_order_without_gaps(nodes: list[Store], told: list[list[Event]]) -> None:
    rooms = await nodes[0].write(make_rooms, 3)
    rng = random.Random(5)
    keys = [uuid.UUID(int=number).bytes for number in range(600)]

    async def talk(store: Store, user_id: int) -> None:
        for number in range(10):
            drafts = [
                draft(rng.choice(rooms), user_id, f"{user_id}:{number}:{part}", keys[user_id * 30 + number * 3 + part])
                for part in range(3)
            ]
            first = await store.append(drafts)
            assert all(isinstance(one, Message) for one in first)
            if rng.random() < 0.3:  # the answer was lost, and the client has moved to another node
                assert await rng.choice(nodes).append(drafts) == first

    async def tell(store: Store, number: int) -> None:
        def record(transaction: Transaction) -> None:
            for channel_id in rng.sample(rooms, 2):  # out of order, half of the time
                channel = directory.get(transaction.connection, channel_id)
                assert channel is not None
                posting.record(transaction, channel, 1, Content.TOPIC_CHANGED, str(number))

        for _ in range(10):
            await store.write(record)

    talking = [talk(store, user_id) for user_id in PEOPLE for store in [nodes[user_id % 2]]]
    async with asyncio.timeout(60):
        await asyncio.gather(*talking, *(tell(store, number) for number, store in enumerate(nodes)))
    stored = {channel_id: await history(nodes[0], channel_id) for channel_id in rooms}
    assert sum(map(len, stored.values())) == 10 * 10 * 3 + 2 * 10 * 2
    for channel_id, found in stored.items():
        assert [one.sequence for one in found] == list(range(1, len(found) + 1))
        assert await nodes[1].read(messages.head, channel_id) == len(found)
        ranges = sorted(
            (event.after, event.through, tuple(event.messages))
            for group in told
            for event in group
            if isinstance(event, Changes) and event.channel_id == channel_id
        )
        assert [one for _, _, part in ranges for one in part] == found, "told of once, and as it was stored"
        assert [after for after, _, _ in ranges] == [0, *(through for _, through, _ in ranges[:-1])]


@pytest.mark.parametrize("channels", [(1, 1), (1, 2)], ids=["the same channel", "another channel"])
async def test_the_same_request_at_the_same_instant_is_one_message(
    nodes: list[Store], channels: tuple[int, int]
) -> None:
    await nodes[0].write(make_rooms, 1)
    for number in range(20):
        key = uuid.UUID(int=number).bytes
        asked = [store.append([draft(where, 1, "x", key)]) for store, where in zip(nodes, channels, strict=True)]
        (one,), (other,) = await asyncio.gather(*asked)
        if channels[0] == channels[1]:
            assert one == other
        else:
            assert sorted(type(each).__name__ for each in (one, other)) == ["Message", "RequestIdReused"]
    assert sum([len(await history(nodes[0], channel_id)) for channel_id in {*channels}]) == 20


async def test_a_handle_is_given_once(nodes: list[Store]) -> None:
    """In one transaction: an operation sees what another node's operation did before it."""

    def take(transaction: Transaction, handle: str) -> bool:
        if accounts.user_by_handle(transaction.connection, handle) is not None:
            return False
        accounts.add_user(transaction, handle, UserKind.GUEST)  # would raise NotUnique
        return True

    for number in range(10):
        asked = [store.write(take, f"mina-{number}") for store in (*nodes, *nodes)]
        assert sorted(await results(*asked)) == [False, False, False, True]


async def test_operations_of_two_nodes_take_turns(nodes: list[Store], database: str) -> None:
    """What one reads no other changes until it has written: a counter that is read and then written loses nothing."""
    await execute(database, "CREATE TABLE counter (value bigint)", "INSERT INTO counter VALUES (0)")

    def add(transaction: Transaction) -> None:
        value = transaction.connection.exec_driver_sql("SELECT value FROM counter").scalar_one()
        transaction.connection.exec_driver_sql("UPDATE counter SET value = $1", (value + 1,))

    try:
        await asyncio.gather(*(store.write(add) for store in nodes for _ in range(50)))
        assert await fetch(database, "SELECT value FROM counter") == [(100,)]
    finally:
        await execute(database, "DROP TABLE counter")


async def test_messages_do_not_wait_for_operations(nodes: list[Store]) -> None:
    held, release = asyncio.Event(), asyncio.Event()

    def hold(_: Transaction) -> None:
        held.set()
        await_only(release.wait())

    holding = asyncio.create_task(nodes[0].write(hold))
    await held.wait()
    assert sequences(await nodes[1].append([draft()])) == [1]
    assert not holding.done()
    release.set()
    await holding


async def test_channels_that_are_locked_out_of_order_make_nobody_wait_in_a_circle(
    nodes: list[Store], database: str
) -> None:
    """The operation lets go of what it has, and begins again with all of its channels in order."""
    low, high = await nodes[0].write(make_rooms, 2)
    runs: list[frozenset[int]] = []
    has_high, low_is_taken = asyncio.Event(), asyncio.Event()

    def lock(transaction: Transaction) -> None:
        assert transaction.locks is not None
        runs.append(transaction.locks.held)
        transaction.lock_channels([high])
        has_high.set()
        await_only(low_is_taken.wait())
        transaction.lock_channels([low])

    async with connected(database) as other:
        asked = asyncio.create_task(nodes[0].write(lock))
        async with other.transaction():
            await has_high.wait()
            await other.execute("SELECT FROM channels WHERE channel_id = $1 FOR UPDATE", low)
            low_is_taken.set()
            await other.execute("SELECT FROM channels WHERE channel_id = $1 FOR UPDATE", high)
        async with asyncio.timeout(PATIENCE):
            await asked
    assert runs == [frozenset(), frozenset({low, high})]


async def test_an_operation_that_was_undone_has_let_go_of_its_channels(nodes: list[Store], database: str) -> None:
    """What it had locked after the savepoint is locked no more, and is locked anew by the next that needs it."""
    (room,) = await nodes[0].write(make_rooms, 1)

    def fail(transaction: Transaction) -> None:
        transaction.lock_channels([room])
        raise ZeroDivisionError

    def lock(transaction: Transaction) -> list[tuple[Any, ...]]:
        assert transaction.locks is not None
        assert transaction.locks.held == frozenset()
        transaction.lock_channels([room])
        free = "SELECT channel_id FROM channels WHERE channel_id = $1 FOR UPDATE SKIP LOCKED"
        return await_only(fetch(database, free, room))

    failed, free = await results(nodes[0].write(fail), nodes[0].write(lock))
    assert isinstance(failed, ZeroDivisionError)
    assert free == []


async def test_a_frozen_node_loses_its_locks(nodes: list[Store]) -> None:
    """And when it wakes, what it had begun is begun again."""
    frozen, awake = asyncio.Event(), asyncio.Event()

    def freeze(transaction: Transaction) -> None:
        channel = directory.get(transaction.connection, LOBBY_ID)
        assert channel is not None
        posting.record(transaction, channel, 1, Content.TOPIC_CHANGED, "frozen")
        frozen.set()
        await_only(awake.wait())

    freezing = asyncio.create_task(nodes[0].write(freeze))
    await frozen.wait()
    async with asyncio.timeout(PATIENCE):
        assert sequences(await nodes[1].append([draft(text="meanwhile")])) == [1]
        assert await nodes[1].write(lambda transaction: True)
    assert not freezing.done()
    awake.set()
    await freezing
    assert [one.text for one in await history(nodes[0], LOBBY_ID)] == ["meanwhile", "frozen"]


async def test_a_connection_that_breaks_before_the_commit_is_no_matter(nodes: list[Store], database: str) -> None:
    broken: list[int] = []

    def break_once(transaction: Transaction) -> int:
        user = accounts.add_user(transaction, "mina", UserKind.GUEST)
        if not broken:
            broken.append(user.user_id)
            await_only(execute(database, OTHER_BACKENDS))
        accounts.set_role(transaction, user.user_id, ServerRole.MEMBER)
        return user.user_id

    user_id = await nodes[0].write(break_once)
    assert broken
    assert [user.user_id for user in await nodes[1].read(accounts.users_page, 0, 9)] == [user_id]
    assert sequences(await nodes[1].append([draft()])) == [1], "the other node's was broken too"


@pytest.mark.parametrize("store", [0, 1])
async def test_dead_connections_are_replaced_at_the_next_use(nodes: list[Store], database: str, store: int) -> None:
    await asyncio.gather(*(nodes[store].read(messages.head, LOBBY_ID) for _ in range(20)))
    for number in range(1, 4):
        await execute(database, OTHER_BACKENDS)
        assert (
            await asyncio.gather(*(nodes[store].read(messages.head, LOBBY_ID) for _ in range(20))) == [number - 1] * 20
        )
        await execute(database, OTHER_BACKENDS)
        assert sequences(await nodes[store].append([draft()])) == [number]


DIE_AT_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION die()
"""


async def test_a_connection_that_breaks_in_the_commit_is_told_and_the_repeat_settles_it(
    nodes: list[Store], database: str
) -> None:
    """Here it had not happened."""
    key = uuid.uuid4().bytes
    await execute(database, DIE_AT_COMMIT)
    try:
        with pytest.raises(StorageUnavailable, match="not known whether this was stored"):
            await nodes[0].append([draft(request_id=key)])
    finally:
        await execute(database, "DROP TRIGGER die ON messages", "DROP FUNCTION die")
    assert await history(nodes[1], LOBBY_ID) == []
    assert sequences(await nodes[1].append([draft(request_id=key)])) == [1]
    assert sequences(await nodes[0].append([draft(request_id=key)])) == [1]


REFUSE_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device';
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION refuse()
"""


async def test_a_commit_that_is_refused_stored_nothing_and_says_why(nodes: list[Store], database: str) -> None:
    await execute(database, REFUSE_AT_COMMIT)
    try:
        with pytest.raises(StorageUnavailable, match=r"nothing was stored: the server's database failed") as caught:
            await nodes[0].append([draft()])
        assert "No space left" in caught.value.in_full
    finally:
        await execute(database, "DROP TRIGGER refuse ON messages", "DROP FUNCTION refuse")
    assert sequences(await nodes[0].append([draft()])) == [1], "it recovers by itself"


async def test_what_fails_and_goes_on_as_if_nothing_had_been_is_not_taken_for_stored(nodes: list[Store]) -> None:
    """PostgreSQL answers the COMMIT of a transaction in which something failed with a ROLLBACK, and no error."""

    def swallow(transaction: Transaction) -> str:
        directory.update(transaction, LOBBY_ID, topic="new")
        with pytest.raises(Exception, match="division by zero"):
            transaction.connection.exec_driver_sql("SELECT 1 / 0")
        return "done"

    with pytest.raises(StorageUnavailable, match="nothing was stored"):
        await nodes[0].write(swallow)
    lobby = await nodes[0].read(directory.get, LOBBY_ID)
    assert lobby is not None
    assert lobby.topic == ""


async def test_a_value_that_cannot_be_stored_is_its_own_operations_fault(nodes: list[Store]) -> None:
    def add(transaction: Transaction, handle: str) -> None:
        accounts.add_user(transaction, handle, UserKind.GUEST)

    asked = [nodes[0].write(add, handle) for handle in ("mina", "na\x00ri", "hana")]
    first, second, third = await results(*asked)
    assert (first, third) == (None, None)
    assert isinstance(second, TextNotAllowed)
    with refused(TextNotAllowed):
        await nodes[0].write(add, "na\x00ri")
    with refused(TextNotAllowed):
        await nodes[0].read(accounts.user_by_handle, "na\x00ri")


SLEEP = "SELECT pg_sleep(1)"  # longer than is waited; it keeps its locks until it ends


@pytest.fixture
def recovered() -> list[int]:
    """Holds something for each time that a store could be written again."""
    return []


@pytest.fixture
async def hasty(database: str, monkeypatch: pytest.MonkeyPatch, recovered: list[int]) -> AsyncIterator[Store]:
    """A node that waits for no answer longer than half a second."""
    monkeypatch.setattr("madang.storage.postgres.ANSWER_WITHIN", 0.5)
    async with opened(database, recovered=lambda: recovered.append(1)) as store:
        yield store


async def test_an_operation_that_got_no_answer_in_time_is_run_again(hasty: Store) -> None:
    """SQLAlchemy does not wrap the driver's timeout: it is the database's failure all the same."""
    tries: list[int] = []

    def sleep_once(transaction: Transaction) -> str:
        tries.append(1)
        if len(tries) == 1:
            transaction.connection.exec_driver_sql(SLEEP)
        return "done"

    assert await hasty.write(sleep_once) == "done"
    assert len(tries) == 2
    assert hasty.writer.failures == 0


async def test_a_database_that_does_not_answer_fails_whoever_waits(hasty: Store, recovered: list[int]) -> None:
    """The operation, and the drafts behind it. An operation that is refused meanwhile says nothing of the store."""

    asleep = asyncio.Event()

    def sleep(transaction: Transaction) -> None:
        asleep.set()
        transaction.connection.exec_driver_sql(SLEEP)

    def refuse(transaction: Transaction) -> None:
        raise UserNotFound(user=7)

    sleeping = asyncio.create_task(hasty.write(sleep))
    await asleep.wait()
    failed = await results(sleeping, hasty.append([draft()]))
    assert [type(one) for one in failed] == [StorageUnavailable, StorageUnavailable]
    assert hasty.writer.failures == 1
    with refused(UserNotFound):
        await hasty.write(refuse)
    assert not recovered
    assert sequences(await hasty.append([draft()])) == [1]
    assert recovered == [1]


async def test_every_recovery_is_told_to_whoever_must_know(hasty: Store, recovered: list[int]) -> None:
    """Also where it fails and works by turns, of which the log does not tell every turn."""

    def sleep(transaction: Transaction) -> None:
        transaction.connection.exec_driver_sql(SLEEP)

    for turn in range(2):
        with refused(StorageUnavailable):
            await hasty.write(sleep)
        await hasty.append([draft()])
        assert len(recovered) == turn + 1


async def test_a_deadlock_is_run_again(nodes: list[Store], database: str) -> None:
    """Whatever locks in another order than ours: PostgreSQL ends one of the two, and that one begins again."""
    first, second = await nodes[0].write(make_rooms, 2)
    runs: list[int] = []
    locked = asyncio.Event()
    update = "UPDATE channels SET topic = $1 WHERE channel_id = $2"

    def set_topics(transaction: Transaction) -> None:
        runs.append(len(runs))
        transaction.connection.exec_driver_sql(update, ("a", first))
        locked.set()
        transaction.connection.exec_driver_sql(update, ("a", second))

    async with connected(database, deadlock_timeout="10s") as other:
        async with other.transaction():
            await other.execute(update, "b", second)
            asked = asyncio.create_task(nodes[0].write(set_topics))
            await locked.wait()
            await other.execute(update, "b", first)
        async with asyncio.timeout(PATIENCE):
            await asked
    assert runs == [0, 1]
    assert await fetch(database, "SELECT topic FROM channels WHERE channel_id > 1") == [("a",), ("a",)]


async def test_drafts_larger_than_one_statement_would_like(nodes: list[Store]) -> None:
    drafts = [Draft(LOBBY_ID, 1, Content.TEXT, "x" * 200, uuid.UUID(int=number).bytes) for number in range(3000)]
    one, other = await asyncio.gather(*(store.append(drafts) for store in nodes))
    assert one == other
    assert await nodes[0].read(messages.head, LOBBY_ID) == 3000
