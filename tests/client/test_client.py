"""What a client can ask for, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

import madang
from madang.client import history
from madang.node.settings import Address

from .conftest import OPEN, PATIENCE, Restartable, person, texts, upto


async def test_sign_in_and_go_on_with_the_token(server: Restartable) -> None:
    async with madang.connect(server.target, handle="mina", device="a test") as mina:
        assert (mina.me.handle, mina.session.device, mina.online) == ("mina", "a test", True)
        assert (mina.server.target, bool(mina.server.store_id), bool(mina.server.version)) == (
            server.target,
            True,
            True,
        )
        token, user_id = mina.token, mina.me.user_id
    again = await madang.connect(server.target, token=token)
    async with again:
        assert (again.me.user_id, again.token) == (user_id, token)
    await again.close()  # twice does no harm
    with pytest.raises(madang.TokenInvalid):
        await madang.connect(server.target, token=token[::-1])


async def test_channels(server: Restartable) -> None:
    async with (
        person(server, "mina") as mina,
        person(server, "joon", live=False) as joon,
    ):
        room = await mina.create_channel("#room", "tea")
        assert (room.name, room.topic, room.owner_id) == ("room", "tea", mina.me.user_id)
        assert (await joon.channel("ROOM")).member is None
        with pytest.raises(madang.NotAMember):
            await joon.send("room", "hello?")
        assert await joon.join(str(room.channel_id)) == await mina.join(room)
        assert [user.handle for _, user in await joon.members(room)] == ["mina", "joon"]
        assert (await joon.update_channel("room", topic="coffee")).topic == "coffee"
        with pytest.raises(madang.NotPermitted):
            await joon.update_channel("room", name="mine")
        assert (await mina.update_channel("room", name="parlour")).name == "parlour"
        assert (await joon.send("parlour", "hello")).channel_id == room.channel_id
        names = [info.channel.name for info in await joon.channels(joined_only=True)]
        assert names == ["lobby", "parlour"]
        await joon.leave("parlour")
        assert [info.channel.name for info in await joon.channels(joined_only=True)] == ["lobby"]
        assert (await mina.archive_channel("parlour")).archived_at is not None
        assert [info.channel.name for info in await joon.channels()] == ["lobby"]
        assert len(await joon.channels(include_archived=True)) == 2
        with pytest.raises(madang.ChannelArchived):
            await mina.send("parlour", "anyone?")
        assert (await mina.unarchive_channel("parlour")).archived_at is None
        with pytest.raises(madang.ChannelNotFound):
            await joon.channel("room")
        with pytest.raises(madang.ChannelNameTaken):
            await joon.create_channel("Parlour")
        with pytest.raises(madang.NameNotAllowed):
            await joon.create_channel("no blanks")
        with pytest.raises(madang.InvalidField, match="name"):
            await joon.create_channel("x" * 65)


async def test_people(server: Restartable) -> None:
    async with (
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="joon") as joon,
    ):
        assert [user.handle for user in await mina.users()] == ["mina", "joon"]
        assert await mina.user("JOON") == joon.me == await mina.user(joon.me.user_id)
        assert await mina.name(joon.me.user_id) == "joon"
        with pytest.raises(madang.UserNotFound):
            await mina.name(99)
        with pytest.raises(madang.HandleTaken):
            await joon.set_handle("mina")
        assert (await joon.set_handle("june")).handle == joon.me.handle == "june"
        changed = (await upto(mina, madang.UserChanged))[-1]
        assert changed == madang.UserChanged(joon.me)
        assert await mina.name(joon.me.user_id) == "june"


async def test_presence(server: Restartable) -> None:
    async with (
        madang.connect(server.target, handle="mina", presence=True) as mina,
        madang.connect(server.target, handle="joon") as joon,
    ):
        assert {presence.user_id for presence in await joon.presences()} == {mina.me.user_id, joon.me.user_id}
        await joon.set_status(madang.Status.AWAY)
        seen: list[tuple[str, madang.Status]] = []
        while ("joon", madang.Status.AWAY) not in seen:
            event = (await upto(mina, madang.PresenceChanged))[-1]
            assert isinstance(event, madang.PresenceChanged)
            seen.append((event.user.handle, event.presence.status))


async def test_history(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 7)
    async with madang.connect(server.target, live=False) as mina:
        for outgoing in [mina.post("lobby", str(n)) for n in range(1, 31)]:
            await outgoing.stored()

        def numbers(messages: list[madang.Message]) -> list[int]:
            return [message.sequence for message in messages]

        assert numbers(await mina.history("lobby", limit=10)) == list(range(21, 31))
        assert numbers(await mina.history("lobby", limit=10, newest_first=False)) == list(range(1, 11))
        assert numbers(await mina.history("lobby", before=20, after=10)) == list(range(11, 20))
        assert numbers(await mina.history(1, limit=3, after=10)) == [28, 29, 30]
        assert await mina.history("lobby", limit=0) == []
        assert [message.sequence async for message in mina.messages("lobby", after=4)] == list(range(5, 31))
        assert (await mina.message("#lobby", 12)).text == "12"
        with pytest.raises(madang.MessageNotFound):
            await mina.message("lobby", 31)


async def test_typing_and_read_marks(server: Restartable) -> None:
    async with (
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="joon") as joon,
        madang.connect(server.target, token=mina.token) as phone,
    ):
        await joon.send("lobby", "hello")
        await joon.typing("lobby")
        typing = (await upto(mina, madang.TypingEvent))[-1]
        assert isinstance(typing, madang.TypingEvent)
        assert (typing.channel.name, typing.user.handle) == ("lobby", "joon")
        assert await mina.mark_read("lobby", 1) == 1
        assert await mina.mark_read("lobby", 0) == 1
        moved = (await upto(phone, madang.ReadMarkMoved))[-1]
        assert isinstance(moved, madang.ReadMarkMoved)
        assert (moved.channel.name, moved.read_through) == ("lobby", 1)
        with pytest.raises(madang.PositionBeyondHead):
            await mina.mark_read("lobby", 99)


async def test_channels_come_and_go_in_the_stream(server: Restartable) -> None:
    async with (
        person(server, "mina") as mina,
        person(server, "joon") as joon,
    ):
        room = await mina.create_channel("room")
        await mina.send(room, "before")
        await joon.join(room)
        seen = [await upto(joon, madang.ChannelOpened) for _ in range(2)]
        opened = seen[-1][-1]
        assert isinstance(opened, madang.ChannelOpened)
        assert (opened.channel.name, opened.position) == ("room", opened.channel.sequence)
        await mina.update_channel(room, topic="tea")
        topic = (await upto(joon, madang.MessageEvent))[-1]
        assert isinstance(topic, madang.MessageEvent)
        assert (topic.message.content, topic.channel.topic) == (madang.Content.TOPIC_CHANGED, "tea")
        await joon.leave("room")
        closed = (await upto(joon, madang.ChannelClosed))[-1]
        assert isinstance(closed, madang.ChannelClosed)
        assert closed.channel.name == "room"
        await mina.send(room, "while joon is away")
        await joon.join(room)
        await mina.send(room, "welcome back")
        assert (await texts(joon, 1)) == ["welcome back"]


async def test_services_with_addresses_of_their_own() -> None:
    heartbeat, lobby, channel = (Address.parse("127.0.0.1:0") for _ in range(3))
    async with (
        madang.Server(heartbeat=heartbeat, lobby=lobby, channel=channel, **OPEN) as server,
        person(server, "mina", presence=True) as mina,
    ):
        await mina.create_channel("room")
        await mina.send("room", "hello")
        assert await texts(mina, 1) == ["hello"]
        assert len(await mina.presences()) == 1


async def test_a_closed_client(server: Restartable) -> None:
    client = await madang.connect(server.target)
    reading = asyncio.create_task(_count(client))
    asking = [asyncio.create_task(client.users()) for _ in range(20)]
    await asyncio.sleep(0)
    await client.close()
    assert await reading >= 0
    for result in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(result, list | madang.ClientClosed)
    for call in (client.users(), client.send("lobby", "hello"), client.history("lobby")):
        with pytest.raises(madang.ClientClosed):
            await call
    assert [event async for event in client.events()] == []


async def _count(client: madang.Client) -> int:
    return len([event async for event in client.events()])


async def test_nobody_there() -> None:
    began = time.monotonic()
    with pytest.raises(madang.ServerUnreachable, match=r"127\.0\.0\.1:1"):
        await madang.connect("127.0.0.1:1", timeout=0.5)
    assert 0.4 < time.monotonic() - began < 3


async def test_somebody_else_there() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        host, port = other.sockets[0].getsockname()
        with pytest.raises(madang.ServerUnreachable):
            await madang.connect(f"{host}:{port}", timeout=0.5)


async def test_a_server_that_comes_late(server: Restartable) -> None:
    await server.stop()
    knocked = asyncio.Event()

    async def turn_away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocked.set()
        writer.close()

    host, port = server.target.split(":")
    async with await asyncio.start_server(turn_away, host, port):
        connecting = asyncio.create_task(_connect(server.target))
        await asyncio.wait_for(knocked.wait(), PATIENCE)
    await server.start()
    client = await connecting
    await client.close()


async def _connect(target: str) -> madang.Client:
    return await madang.connect(target, timeout=PATIENCE)


async def test_cancelled_while_connecting(server: Restartable) -> None:
    connecting = asyncio.create_task(_connect(server.target))
    for _ in range(40):
        await asyncio.sleep(0)
    connecting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await (await connecting).close()
