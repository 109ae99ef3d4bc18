"""ChannelService.Subscribe: the live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from support import eventually

from madang.node.embed import Server
from madang.services.ring import MAX_RING_BYTES
from madang.v1 import channel_service_pb2 as pb

from .calls import Caller, connect, item

INVALID_FIELD = ("INVALID_ARGUMENT", "INVALID_FIELD")


@pytest.fixture
async def apart(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A second connection, that shares no window with the first."""
    async with connect(server.target) as connected:
        yield connected


def opened(response: pb.SubscribeResponse) -> dict[int, int]:
    """The channels that were opened, and where the stream begins in them."""
    return {each.channel.channel_id: each.position for each in response.opened}


async def first(caller: Caller, **fields: object) -> pb.SubscribeResponse:
    """The first response of a subscription."""
    response: pb.SubscribeResponse = await caller.stream("Subscribe", **fields).read()
    return response


async def test_opened_comes_first(mina: Caller, nari: Caller, shared: int) -> None:
    head = await nari.say(shared, "hello")
    await mina.call("MarkRead", channel_id=shared, read_through=2)
    response = await first(mina, positions=[{"channel_id": shared, "sequence": 0}])
    lobby, kitchen = response.opened
    assert (lobby.channel.channel_id, lobby.channel.name, lobby.position) == (1, "lobby", 0)
    assert (kitchen.channel.sequence, kitchen.position, kitchen.read_through) == (head, 0, 2)
    assert kitchen.channel == (await mina.call("GetChannel", channel_id=shared)).channel
    assert not response.resets


async def test_from_a_position_on(mina: Caller, shared: int) -> None:
    head = await mina.say(shared, *"abc")
    for position in range(head + 1):
        live = await mina.subscribe(positions=[{"channel_id": shared, "sequence": position}])
        last = await mina.say(shared, "live")
        await live.reaches(shared, last)
        assert live.reader.sequences(shared) == list(range(position + 1, last + 1))


async def test_a_channel_that_is_not_named_begins_at_its_head(mina: Caller, shared: int) -> None:
    head = await mina.say(shared, *"abc")
    live = await mina.subscribe()
    assert live.reader.positions == {1: 0, shared: head}
    await live.reaches(shared, await mina.say(shared, "live"))
    assert live.reader.texts(shared) == ["live"]


async def test_positions_beyond_the_head_are_reset(mina: Caller, shared: int) -> None:
    head = await mina.say(shared, "hello")
    for beyond in (head + 1, 2**63 - 1):
        response = await first(mina, positions=[{"channel_id": shared, "sequence": beyond}])
        assert [(reset.channel_id, reset.position) for reset in response.resets] == [(shared, head)]
        assert opened(response) == {1: 0, shared: head}


async def test_positions_of_another_history_are_reset(mina: Caller, shared: int) -> None:
    head = await mina.say(shared, "hello")
    positions = [{"channel_id": shared, "sequence": 1}, {"channel_id": 1, "sequence": 0}]
    response = await first(mina, positions=positions, store_id="another")
    assert {reset.channel_id: reset.position for reset in response.resets} == {1: 0, shared: head}
    ours = (await mina.call("GetServer")).store_id
    response = await first(mina, positions=positions, store_id=ours)
    assert not response.resets
    assert opened(response) == {1: 0, shared: 1}


async def test_requests_that_make_no_sense(mina: Caller, nari: Caller, kitchen: int) -> None:
    twice = [{"channel_id": kitchen, "sequence": 1}, {"channel_id": kitchen, "sequence": 1}]
    refusal = await mina.refused("Subscribe", positions=twice)
    assert (refusal.what, refusal.field) == (INVALID_FIELD, "positions")
    for channel_id in (999, 0, -1, 2**63 - 1):
        refusal = await mina.refused("Subscribe", channel_ids=[kitchen, channel_id])
        assert refusal.what == ("NOT_FOUND", "CHANNEL_NOT_FOUND")
        assert refusal.facts["channel"] == str(channel_id)
    assert (await nari.refused("Subscribe", channel_ids=[1, kitchen])).what == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    foreign = [{"channel_id": channel_id, "sequence": 1} for channel_id in (kitchen, 999)]
    response = await first(nari, positions=foreign)
    assert opened(response) == {1: 0}, "positions of channels that one is not in, any more, do no harm"


async def test_only_these_channels(mina: Caller, nari: Caller, shared: int) -> None:
    live = await nari.subscribe(channel_ids=[shared, shared])
    assert live.reader.open == {shared}
    garden = (await nari.call("CreateChannel", name="garden")).channel.channel_id
    await mina.say(1, "to all")
    await nari.say(garden, "to nobody")
    await live.reaches(shared, await mina.say(shared, "to us"))
    assert set(live.reader.ranges) == {shared}
    await nari.call("LeaveChannel", channel_id=shared)
    await live.until(lambda response: [each.channel_id for each in response.closed] == [shared])


async def test_channels_that_are_joined_later(mina: Caller, nari: Caller, kitchen: int) -> None:
    live = await nari.subscribe()
    assert live.reader.open == {1}
    joined = (await nari.call("JoinChannel", channel_id=kitchen)).channel.sequence
    response = await live.until(lambda response: response.opened)
    assert opened(response) == {kitchen: joined}
    await live.reaches(kitchen, await mina.say(kitchen, "welcome"))
    assert live.reader.texts(kitchen) == ["welcome"]


async def test_channels_that_are_left(mina: Caller, nari: Caller, shared: int) -> None:
    live = await nari.subscribe()
    await live.reaches(shared, await mina.say(shared, "hello"))
    await nari.call("LeaveChannel", channel_id=shared)
    await mina.say(shared, "she has gone")
    last = await mina.say(1, "to all")
    closed: list[int] = []
    while live.reader.positions[1] < last or not closed:
        closed += [each.channel_id for each in (await live.next()).closed]
    assert closed == [shared]
    assert "she has gone" not in live.reader.texts(shared)
    await nari.call("JoinChannel", channel_id=shared)
    await live.until(lambda response: response.opened)
    await live.reaches(shared, await mina.say(shared, "back again"))
    assert live.reader.texts(shared)[-1] == "back again"
    assert "she has gone" not in live.reader.texts(shared)


async def test_two_devices_get_everything(mina: Caller, nari: Caller, shared: int) -> None:
    lives = [await nari.subscribe(), await nari.subscribe()]
    garden = (await nari.call("CreateChannel", name="garden")).channel.channel_id
    for number in range(20):
        await mina.say(shared, f"{number}")
    last = {shared: await nari.say(shared, "I see"), garden: await nari.say(garden, "mine")}
    for live in lives:
        for channel_id, sequence in last.items():
            await live.reaches(channel_id, sequence)
        assert live.reader.texts(shared) == [*map(str, range(20)), "I see"]


async def test_changes_of_a_channel_are_messages(mina: Caller, shared: int) -> None:
    await mina.call("UpdateChannel", channel_id=shared, topic="soup")
    live = mina.stream("Subscribe")
    await live.read()
    await mina.call("UpdateChannel", channel_id=shared, name="küche", topic="")
    await mina.call("ArchiveChannel", channel_id=shared)
    await mina.call("UnarchiveChannel", channel_id=shared)
    seen: list[pb.ChannelBatch] = []
    while not seen or seen[-1].through < 7:
        seen += (await live.read()).batches
    updates = [message.channel_updated for batch in seen for message in batch.messages]
    assert [[name.name for name, _ in update.ListFields()] for update in updates] == [
        ["name"],
        ["topic"],
        ["archived"],
        ["archived"],
    ]
    assert (updates[0].name, updates[1].topic) == ("küche", "")
    assert [updates[2].archived, updates[3].archived] == [True, False]


async def test_typing(mina: Caller, nari: Caller, shared: int) -> None:
    hers, ours = await mina.subscribe(), await nari.subscribe()
    await mina.call("SetTyping", channel_id=shared)
    response = await ours.until(lambda response: response.typing)
    assert [(each.channel_id, each.user_id) for each in response.typing] == [(shared, mina.user_id)]
    last = await nari.say(shared, "yes?")
    while hers.reader.positions[shared] < last:
        assert not (await hers.next()).typing, "who writes knows it"


async def test_read_marks(mina: Caller, nari: Caller, shared: int) -> None:
    head = await mina.say(shared, "hello")
    phone, laptop, others = await nari.subscribe(), await nari.subscribe(), await mina.subscribe()
    await nari.call("MarkRead", channel_id=shared, read_through=head)
    for live in (phone, laptop):
        response = await live.until(lambda response: response.read_marks)
        assert [(mark.channel_id, mark.read_through) for mark in response.read_marks] == [(shared, head)]
    last = await mina.say(shared, "and then")
    while others.reader.positions[shared] < last:
        assert not (await others.next()).read_marks, "marks are the user's own"


async def test_users(mina: Caller, nari: Caller) -> None:
    live = await nari.subscribe()
    changed = (await mina.call("UpdateMe", handle="mina.kim")).user
    response = await live.until(lambda response: response.users)
    assert list(response.users) == [changed]


async def test_far_behind(mina: Caller, nari: Caller, shared: int) -> None:
    """From the store, page by page, while more is written."""
    post = mina.post()
    for _ in range(3):
        await post.write(sends=[item(shared, "x" * 100) for _ in range(500)])
        await post.read()
    live = await nari.subscribe(positions=[{"channel_id": shared, "sequence": 0}])
    last = await mina.say(shared, "meanwhile")
    await live.reaches(shared, last)
    assert live.reader.sequences(shared) == list(range(1, last + 1))


async def test_one_that_never_reads(
    server: Server, apart: grpc.aio.Channel, mina: Caller, nari: Caller, shared: int
) -> None:
    """The others get everything, and what the server keeps for it is bounded; it gets everything when it wakes up."""
    stalled = await Caller(apart, nari.token).subscribe()
    reading = await nari.subscribe()
    rings = server._node._hub.rings
    post = mina.post()
    last = 0
    for _ in range(50):
        await post.write(sends=[item(shared, "x" * 16384) for _ in range(25)])
        last = (await post.read()).results[-1].stored.sequence
        assert rings[shared]._size == sum(map(len, rings[shared]._segments)) <= MAX_RING_BYTES
        await reading.reaches(shared, last)
    assert last * 16384 > 2 * MAX_RING_BYTES
    assert reading.reader.sequences(shared) == list(range(3, last + 1))
    assert stalled.reader.positions[shared] < last
    await stalled.reaches(shared, last)
    assert stalled.reader.sequences(shared) == list(range(3, last + 1))


async def test_the_last_reader_takes_the_ring_with_it(server: Server, mina: Caller, nari: Caller, shared: int) -> None:
    hub = server._node._hub
    other = await nari.subscribe()
    for _ in range(5):
        live = await mina.subscribe()
        live.stream.call.cancel()
    await other.reaches(shared, await mina.say(shared, "hello"))
    other.stream.call.cancel()
    await eventually(lambda: not hub.rings, "nothing is kept for nobody")
