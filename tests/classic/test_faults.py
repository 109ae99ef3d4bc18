"""The known faults of the ancestor, each shown to be gone.

Four channels and no more: see test_channel; status that waits: see test_heartbeat.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from support import eventually

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import AgentStub, HeartbeatStub
from madang.core.models import LOBBY_ID
from madang.node.embed import Server
from madang.rpc.classic.ports import places
from madang.rpc.classic.times import Times

from .people import (
    Classic,
    Network,
    Room,
    chat,
    ended,
    free_ports,
    joined,
    network,
    read,
    refused,
    request,
)
from .proxy import Proxy

DENIED = grpc.StatusCode.PERMISSION_DENIED

Act = Callable[[Classic, Room], Awaitable[object]]
ACTS: dict[str, Act] = {
    "Heartbeat.TryHeartbeat": lambda user, room: read(
        user.heartbeat.TryHeartbeat(pb.HeartbeatRequest(index=user.index))
    ),
    "Lobby.TryChatSend": lambda user, room: user.say("as somebody else"),
    "Lobby.TryChatReceive": lambda user, room: read(user.lobby.TryChatReceive(pb.Chat(index=user.index))),
    "Lobby.TryStatusRequest": lambda user, room: read(user.lobby.TryStatusRequest(user.me)),
    "Lobby.TryCommand": lambda user, room: user.command(request.LEAVE_CHANNEL),
    "Lobby.TryUserExit": lambda user, room: user.lobby.TryUserExit(user.me),
    "Lobby.TryUserRemove": lambda user, room: user.goodbye(),
    "Channel.TryChatSend": lambda user, room: room.say("as somebody else"),
    "Channel.TryChatReceive": lambda user, room: read(room.stub.TryChatReceive(pb.Chat(index=user.index))),
    "Channel.TryStatusRequest": lambda user, room: read(room.stub.TryStatusRequest(user.me)),
    "Channel.TryUserRemove": lambda user, room: room.leave(),
}


def elsewhere(user: Classic, room: Room) -> tuple[Classic, Room]:
    """The same user and room as seen from another host: everything over IPv6."""
    reply = pb.LoginReply(
        index=user.index,
        heartbeat_ip=user.reply.heartbeat_ip.replace("127.0.0.1", "[::1]"),
        lobby_ip=user.reply.lobby_ip.replace("127.0.0.1", "[::1]"),
    )
    thief = Classic(user.network, reply)
    return thief, Room(thief, room.address.replace("127.0.0.1", "[::1]"), room.channel)


async def test_nobody_acts_as_somebody_else(net: Network) -> None:
    """Anyone could act as anyone, and remove any user."""
    async with Server(listen="localhost:0", classic=True, classic_ports=free_ports(1)) as server:
        user = await net.login(server.target.replace("localhost", "127.0.0.1"))
        room = await user.make()
        status = await room.watch()
        thief, stolen = elsewhere(user, room)
        for name, act in ACTS.items():
            with refused(DENIED, "FOREIGN_INDEX"):
                await act(thief, stolen)
                pytest.fail(name)
        assert await user.users() == [(user.index, room.channel)]
        sumi = await net.sign_in(server.target, "sumi")
        assert await sumi.history(LOBBY_ID) == []
        assert not await user.lives()  # the thief's heartbeat was not taken for the user's
        await sumi.join(room.channel)
        assert await read(status) == joined(sumi.user_id, room.channel)  # nothing before


async def test_an_unknown_index_is_nobody(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    room = await user.make()
    sumi = await net.sign_in(server.target, "sumi")
    for index in (0, -1, user.index + 1000, sumi.user_id):
        nobody = Classic(net, pb.LoginReply(index=index, heartbeat_ip=server.target, lobby_ip=server.target))
        for name, act in ACTS.items():
            if name == "Lobby.TryCommand":
                continue  # has an answer of its own
            with refused(DENIED, "FOREIGN_INDEX"):
                await act(nobody, Room(nobody, room.address, room.channel))


async def test_addresses_are_of_the_family_that_the_user_came_by(net: Network) -> None:
    """Else `localhost` could lead a user to where its index is a stranger's."""
    async with Server(listen="localhost:0", classic=True, classic_ports=free_ports(1)) as server:
        port = server.target.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            user = await net.login(f"{host}:{port}")
            assert user.reply.heartbeat_ip == user.reply.lobby_ip == f"{host}:{port}"
            await user.begin_heartbeat()
            room = await user.make()
            assert room.address.startswith(f"{host}:")
            await room.watch()
            await user.goodbye()
            await eventually(lambda: _free(server), "the port is free again")


async def _free(server: Server) -> bool:
    return is_free(server.settings.classic_ports.first)


def is_free(port: int) -> bool:
    """Whether nobody listens on the port."""
    return bool(places("localhost", port))


async def test_a_half_dead_connection_does_not_count_as_life(net: Network) -> None:
    """A user stayed live though its connection was half dead."""
    times = Times(beat=0.2, grace=0.2, tidy=0.02)
    async with Server(classic=True, classic_times=times, keepalive=0.5, keepalive_timeout=0.5) as server:
        watcher = await net.login(server.target)
        await watcher.begin_heartbeat()
        async with Proxy(server.target) as proxy:
            channel = net.connect(proxy.address)
            index = (await AgentStub(channel).TryLogin(pb.LoginRequest())).index
            heartbeat = HeartbeatStub(channel).TryHeartbeat(pb.HeartbeatRequest(index=index))
            for _ in range(5):
                await read(heartbeat)
            proxy.freeze()
            assert await watcher.lives(index)

            async def unknown() -> bool:
                return not await watcher.lives(index)

            async def taken_out() -> bool:
                return await watcher.users() == [(watcher.index, 0)]

            await eventually(unknown, "LIVE turns UNKNOWN")
            await eventually(taken_out, "the user is taken out")


async def test_delivery_does_not_wait_for_a_poll(server: Server, net: Network) -> None:
    """Delivery waited for a poll a second: forty messages to and fro took forty of them."""
    users = [await net.login(server.target) for _ in range(2)]
    made = await users[0].make()
    rooms = [made, await users[1].join(made.channel)]
    lobby = [await user.hear() for user in users]
    channel = [await room.hear() for room in rooms]
    began = time.monotonic()
    for turn in range(20):
        sender, receiver = turn % 2, (turn + 1) % 2
        await users[sender].say(f"{turn}")
        assert await read(lobby[receiver]) == chat(users[sender].index, f"{turn}")
        await rooms[sender].say(f"{turn}")
        assert await read(channel[receiver]) == chat(users[sender].index, f"{turn}")
    assert time.monotonic() - began < 4


async def test_two_streams_of_one_user_both_get_everything(server: Server, net: Network) -> None:
    """Two streams of one user stole from each other."""
    user, other = await net.login(server.target), await net.login(server.target)
    streams = [await user.hear(), await user.hear()]
    for number in range(20):
        await other.say(f"{number}")
    for stream in streams:
        assert [(await read(stream)).text for _ in range(20)] == [f"{number}" for number in range(20)]


async def test_a_stream_that_breaks_repeats_nothing(server: Server, net: Network) -> None:
    """A stream that broke in the middle of a batch repeated messages."""
    user, other = await net.login(server.target), await net.login(server.target)
    for round_ in range(5):
        stream = await user.hear()
        await asyncio.gather(*(other.say(f"{round_}: {number}") for number in range(10)))
        first = [(await read(stream)).text for _ in range(3)]
        assert len(set(first)) == 3
        assert all(text.startswith(f"{round_}: ") for text in first)
        stream.cancel()


TEXTS = {
    "absent": None,
    "empty": "",
    "blank": " \n\t",
    "control character": "a\x07b",
    "too large": "x" * (16 * 1024 + 1),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_what_cannot_be_a_message_is_refused(server: Server, net: Network, text: str | None) -> None:
    """`assert` stood in for validation."""
    user = await net.login(server.target)
    room = await user.make()
    for place in (user.lobby, room.stub):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "TEXT_NOT_ALLOWED"):
            await place.TryChatSend(pb.Chat(index=user.index, text=text))
    sumi = await net.sign_in(server.target, "sumi")
    await sumi.join(room.channel)
    assert await sumi.history(LOBBY_ID) == await sumi.history(room.channel) == []


async def test_the_largest_message_passes(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    stream = await other.hear()
    await user.say("x" * 16 * 1024)
    assert len((await read(stream)).text) == 16 * 1024


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x08\x01\x12\x02\xff\xfe"], ids=["garbage", "not UTF-8"])
@pytest.mark.parametrize("method", ["/Lobby/TryChatSend", "/Lobby/TryChatReceive", "/Agent/TryLogin"])
async def test_bytes_that_are_no_request_are_refused(server: Server, net: Network, raw: bytes, method: str) -> None:
    channel: Any = net.connect(server.target)
    if method == "/Agent/TryLogin":
        raw = raw.replace(b"\x08\x01\x12", b"\x0a")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST"):
        if method.endswith("Receive"):
            await read(channel.unary_stream(method)(raw))
        else:
            await channel.unary_unary(method)(raw)


async def test_listing_channels_spoils_no_later_join(server: Server, net: Network) -> None:
    """In the ancestor's console `/list` broke a later `/join`."""
    maker, other = await net.login(server.target), await net.login(server.target)
    made = await maker.make()
    for _ in range(3):
        assert await other.channels() == [made.channel]
        room = await other.join(made.channel)
        await room.watch()
        assert await other.channels() == [made.channel]
        assert (await other.command(request.LEAVE_CHANNEL)).status == pb.CommandReply.SUCCESS


async def test_what_was_said_outlives_the_process(tmp_path: Path, net: Network) -> None:
    """Nothing outlived the process."""
    async with Server(tmp_path, classic=True, classic_ports=free_ports(2)) as server:
        sumi = await net.sign_in(server.target, "sumi")
        kitchen = await sumi.make("kitchen")
        user, other = await net.login(server.target), await net.login(server.target)
        await user.say("in the lobby")
        room = await user.join(kitchen)
        await room.say("in the kitchen")
        await other.make()
        old = user.index
    times = Times(tidy=0.02)
    async with Server(tmp_path, classic=True, classic_ports=free_ports(2), classic_times=times) as server:
        mina = await net.sign_in(server.target, "mina")
        await mina.join(kitchen)
        assert await mina.history(LOBBY_ID) == ["in the lobby"]
        assert await mina.history(kitchen) == ["in the kitchen"]
        user = await net.login(server.target)
        assert user.index > old
        room = await user.join(kitchen)
        await room.say("back again")
        ghost = Classic(net, pb.LoginReply(index=old, heartbeat_ip=server.target, lobby_ip=server.target))
        with refused(DENIED, "FOREIGN_INDEX"):
            await ghost.say("boo")

        async def closed() -> bool:
            return await user.channels() == [kitchen]

        await eventually(closed, "a channel with nobody but classic users of the last run closes")
        assert await user.users() == [(user.index, kitchen)]


async def test_a_user_that_does_not_read_costs_a_cursor(tmp_path: Path) -> None:
    """Chats queued without bound for a user that does not read."""
    port = free_ports(1).first
    command = [sys.executable, "-m", "madang", "serve", "--data", str(tmp_path), "--listen", f"127.0.0.1:{port}"]
    command.append("--no-limits")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    try:
        async with network() as net:
            await _says_much(net, f"127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def _says_much(net: Network, target: str, process: psutil.Process) -> None:
    """Thirty streams that are not read, and 13 MB of chat: queues would hold 390 MB."""
    await asyncio.wait_for(net.connect(target).channel_ready(), 20)
    user, other = await net.login(target), await net.login(target)
    streams = [await user.hear() for _ in range(30)]
    texts = [f"{number:03d} {'abcd' * 4000}" for number in range(800)]
    before = process.memory_info().rss
    for start in range(0, len(texts), 100):
        await asyncio.gather(*(other.say(text) for text in texts[start : start + 100]))
    assert process.memory_info().rss - before < 150_000_000
    heard = [(await read(streams[0])).text for _ in texts]
    assert sorted(heard) == texts


async def test_streams_end_when_the_server_does(net: Network) -> None:
    server = await Server(classic=True, classic_ports=free_ports(1), drain=2.0).start()
    user = await net.login(server.target)
    room = await user.make()
    streams = [
        await user.begin_heartbeat(),
        await user.hear(),
        await user.watch(),
        await room.hear(),
        await room.watch(),
    ]
    ends = asyncio.gather(*map(ended, streams))
    began = time.monotonic()
    await server.stop()
    assert time.monotonic() - began < 1.5
    assert set(await ends) == {grpc.StatusCode.UNAVAILABLE}
    assert is_free(int(room.address.rpartition(":")[2]))


async def test_without_the_classic_contract_there_is_none(net: Network) -> None:
    async with Server(classic=False) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await net.login(server.target)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
