"""Those who do not read, and those who can only take so much at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from support import PATIENCE, eventually, held

from madang.node.embed import Server
from madang.storage import directory, memberships
from madang.storage.transaction import Transaction

from .calls import Caller, Stream, connect, item, sign_in

LARGE = "x" * 16_384
FLOOD = 800
"""Messages of the largest size, more than fit into the windows of a connection."""


@pytest.fixture
async def apart(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A second connection, that shares no window with the first."""
    async with connect(server.target) as connected:
        yield connected


async def flood(caller: Caller, channel_id: int) -> int:
    """Send so much that who does not read has something to read; the sequence of the last."""
    post, last = caller.post(), 0
    for _ in range(FLOOD // 100):
        await post.write(sends=[item(channel_id, LARGE) for _ in range(100)])
        last = (await post.read()).results[-1].stored.sequence
    return last


async def is_here(caller: Caller, user_id: int) -> bool:
    """Whether a user is present."""
    return user_id in {each.user_id for each in (await caller.call("ListPresences")).presences}


async def stuck(server: Server, caller: Caller, apart: grpc.aio.Channel, other: Caller, channel_id: int) -> Stream:
    """A subscription that is not read, and whose writes wait for that."""
    live = await Caller(apart, caller.token).subscribe()
    last = await flood(other, channel_id)
    (cursor,) = server._node._hub._by_user[caller.user_id]
    assert cursor.positions[channel_id] < last
    return live.stream


async def test_revocation_bites_whether_the_client_reads_or_not(
    server: Server, apart: grpc.aio.Channel, mina: Caller, nari: Caller, shared: int
) -> None:
    stream = await stuck(server, nari, apart, mina, shared)
    assert await is_here(mina, nari.user_id)
    assert shared in server._node._hub.rings
    await nari.call("SignOut")
    async with asyncio.timeout(PATIENCE):
        while await is_here(mina, nari.user_id):
            pass
    await eventually(lambda: shared not in server._node._hub.rings, "nothing is kept for it")
    assert (await stream.ending()).what == ("UNAUTHENTICATED", "SESSION_REVOKED")


async def test_a_shutdown_does_not_wait_for_who_does_not_read() -> None:
    """Its stream is cut off; the server's own end comes all the same, and the data can be used again."""
    server = Server(drain=0.2, limits=None)
    await server.start()
    async with connect(server.target) as one, connect(server.target) as other:
        mina, nari = await sign_in(one, "mina"), await sign_in(other, "nari")
        await stuck(server, nari, other, mina, 1)
        async with asyncio.timeout(PATIENCE):
            await server.stop()
    assert server._node._hub.rings == {}


async def test_a_presence_watch_that_is_not_read_keeps_nobody_waiting(
    apart: grpc.aio.Channel, mina: Caller, nari: Caller
) -> None:
    stalled = Caller(apart, nari.token).stream("WatchPresence")
    await stalled.read()
    watch = mina.stream("WatchPresence")
    for status in (3, 4, 2, 3):
        await nari.call("SetStatus", status=status)
        while status not in [each.status for each in (await watch.read()).presences if each.user_id == nari.user_id]:
            pass


@pytest.fixture
async def modest(server: Server, nari: Caller) -> AsyncIterator[Caller]:
    """A client with gRPC's own limits: 4 MiB for a message."""
    async with grpc.aio.insecure_channel(server.target) as channel:
        yield Caller(channel, nari.token, nari.user_id)


async def test_a_large_commit_reaches_a_client_with_the_usual_limits(
    server: Server, modest: Caller, mina: Caller, shared: int
) -> None:
    """Ten megabytes that gathered while the store was busy."""
    live = await modest.subscribe()
    posts = [mina.post() for _ in range(4)]
    async with held(server._node._store):
        for post in posts:
            await post.write(sends=[item(shared, LARGE) for _ in range(160)])
        await eventually(lambda: len(server._node._store.writer._queue) == len(posts), "all of it waits")
    last = max([(await post.read()).results[-1].stored.sequence for post in posts])
    await live.reaches(shared, last)
    assert live.reader.sequences(shared) == list(range(3, last + 1))
    again = await modest.subscribe(positions=[{"channel_id": shared, "sequence": 0}])
    await again.reaches(shared, last)


async def test_a_page_of_large_messages_reaches_a_client_with_the_usual_limits(
    modest: Caller, mina: Caller, shared: int
) -> None:
    post = mina.post()
    for _ in range(3):
        await post.write(sends=[item(shared, "한" * 5_461) for _ in range(120)])
        await post.read()
    found: list[int] = []
    token, pages = "", 0
    while token or not pages:
        page = await modest.call("ListMessages", channel_id=shared, page_size=500, page_token=token)
        assert page.messages, "a page with nothing on it"
        found += [message.sequence for message in page.messages]
        token, pages = page.next_page_token, pages + 1
    assert found == list(range(362, 0, -1))


def many(transaction: Transaction, owner_id: int, count: int) -> int:
    """Channels with topics of the greatest length; the last one's id."""
    channel_id = 0
    for number in range(count):
        channel_id = directory.create(transaction, f"room-{number}", "🏡" * 256, owner_id, None).channel_id
        memberships.add(transaction, channel_id, owner_id)
    return channel_id


async def test_many_channels_reach_a_client_with_the_usual_limits(server: Server, modest: Caller) -> None:
    last = await server._node._store.write(many, modest.user_id, 4_000)
    live = await modest.subscribe()
    await live.reaches(last, await modest.say(last, "hello"))
