"""The Channel: chat, status, leaving; its address; both contracts in one room."""

from __future__ import annotations

import asyncio
import socket

import grpc
from support import eventually

from madang.classic import client_to_agent_pb2 as pb
from madang.core.models import LOBBY_ID
from madang.node.embed import Server
from madang.node.settings import PortRange
from madang.v1 import resources_pb2

from .people import (
    Classic,
    Network,
    Room,
    chat,
    ended,
    free_ports,
    joined,
    left,
    opened,
    quiet,
    read,
    refused,
    request,
)


async def test_chat_reaches_every_other_member(server: Server, net: Network) -> None:
    users = [await net.login(server.target) for _ in range(3)]
    made = await users[0].make()
    rooms = [made, await users[1].join(made.channel), await users[2].join(made.channel)]
    streams = [await room.hear() for room in rooms]
    lobby = await users[2].hear()
    await rooms[0].say("one")
    await rooms[1].say("two")
    assert [await read(streams[2]) for _ in range(2)] == [chat(users[0].index, "one"), chat(users[1].index, "two")]
    assert await read(streams[0]) == chat(users[1].index, "two")
    assert await read(streams[1]) == chat(users[0].index, "one")
    await quiet(lobby, lambda: users[0].say("to all"), chat(users[0].index, "to all"))


async def test_status_joins_the_member_in_and_tells_everyone(server: Server, net: Network) -> None:
    maker, other = await net.login(server.target), await net.login(server.target)
    made = await maker.make()
    mine = await opened(made.stub.TryStatusRequest(maker.me))
    assert await read(mine) == joined(maker.index, made.channel)
    room = Room(other, made.address, made.channel)  # by the address alone, without a command
    theirs = await opened(room.stub.TryStatusRequest(other.me))
    assert await read(theirs) == joined(other.index, made.channel)
    assert await read(mine) == joined(other.index, made.channel)
    await room.say("a member now")
    assert await maker.users() == [(maker.index, made.channel), (other.index, made.channel)]


async def test_a_second_status_stream_tells_the_others_nothing(server: Server, net: Network) -> None:
    maker, other = await net.login(server.target), await net.login(server.target)
    made = await maker.make()
    mine = await made.watch()
    room = await other.join(made.channel)
    assert await read(mine) == joined(other.index, made.channel)
    await room.watch()
    await room.watch()
    await quiet(mine, room.leave, left(other.index, made.channel))


async def test_leaving_is_told_and_ends_the_members_streams(server: Server, net: Network) -> None:
    maker, other = await net.login(server.target), await net.login(server.target)
    made = await maker.make()
    mine = await made.watch()
    room = await other.join(made.channel)
    streams = [await room.watch(), await room.hear()]
    assert await read(mine) == joined(other.index, made.channel)
    await room.leave()
    assert await read(mine) == left(other.index, made.channel)
    for stream in streams:
        assert await ended(stream) is grpc.StatusCode.OK
    await room.leave()  # repeating it does no harm
    with refused(grpc.StatusCode.PERMISSION_DENIED, "NOT_A_MEMBER"):
        await room.say("from outside")
    with refused(grpc.StatusCode.PERMISSION_DENIED, "NOT_A_MEMBER"):
        await read(room.stub.TryChatReceive(pb.Chat(index=other.index)))
    assert await other.users() == [(maker.index, made.channel), (other.index, 0)]


async def test_leaving_a_channel_that_the_user_is_not_in_leaves_its_own_alone(server: Server, net: Network) -> None:
    maker, other = await net.login(server.target), await net.login(server.target)
    made, elsewhere = await maker.make(), await other.make()
    await Room(other, made.address, made.channel).leave()
    assert await other.users() == [(maker.index, made.channel), (other.index, elsewhere.channel)]


async def test_a_channel_whose_last_member_left_closes(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    room = await user.make()
    stream = await room.watch()
    await room.leave()
    assert await ended(stream) is grpc.StatusCode.OK
    assert await user.channels() == []
    assert (await other.command(request.JOIN_CHANNEL, room.channel)).status == pb.CommandReply.FAILURE
    await eventually(lambda: _silent(room.address), "the address is closed")


async def test_a_channel_that_a_madang_user_made_stays(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    kitchen = await sumi.make("kitchen")
    room = await user.join(kitchen)
    await room.leave()
    await sumi.leave(kitchen)
    assert await user.channels() == [kitchen]


async def test_a_classic_channel_closes_after_the_last_madang_user_too(hasty: Server, net: Network) -> None:
    user = await net.login(hasty.target)
    await user.begin_heartbeat()
    sumi = await net.sign_in(hasty.target, "sumi")
    room = await user.make()
    await sumi.join(room.channel)
    await room.leave()
    assert await user.channels() == [room.channel]
    await eventually(lambda: _silent(room.address), "no classic user, no address")
    await sumi.leave(room.channel)

    async def closed() -> bool:
        return await user.channels() == []

    await eventually(closed, "the channel closes")


async def test_both_contracts_in_one_channel(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    live = await sumi.subscribe()
    kitchen = await sumi.make("kitchen")
    room = await user.join(kitchen)
    status, texts = await room.watch(), await room.hear()
    await sumi.send(kitchen, "from madang")
    await room.say("from the classic contract")
    assert await sumi.texts(live, 2) == [(sumi.user_id, "from madang"), (user.index, "from the classic contract")]
    assert await read(texts) == chat(sumi.user_id, "from madang")
    mina = await net.sign_in(server.target, "mina")
    await mina.join(kitchen)
    assert await read(status) == joined(mina.user_id, kitchen)
    await mina.leave(kitchen)
    assert await read(status) == left(mina.user_id, kitchen)
    assert await sumi.history(kitchen) == ["from madang", "from the classic contract"]


async def test_a_classic_user_is_a_guest_named_for_its_index(server: Server, net: Network) -> None:
    sumi, taker = await net.sign_in(server.target, "sumi"), await net.sign_in(server.target, "classic-4")
    first, second = await net.login(server.target), await net.login(server.target)
    assert (await sumi.user(first.index)).handle == f"classic-{first.index}"
    assert (await sumi.user(first.index)).kind == resources_pb2.USER_KIND_CLASSIC
    assert second.index == 4
    assert (await sumi.user(second.index)).handle not in ("classic-4", "")  # somebody else has that name
    assert (await sumi.user(taker.user_id)).handle == "classic-4"


async def test_both_contracts_in_the_lobby(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    live, texts = await sumi.subscribe(), await user.hear()
    await sumi.send(LOBBY_ID, "from madang")
    await user.say("from the classic contract")
    assert await sumi.texts(live, 2) == [(sumi.user_id, "from madang"), (user.index, "from the classic contract")]
    assert await read(texts) == chat(sumi.user_id, "from madang")


async def test_a_port_is_given_back(net: Network) -> None:
    """A pool of one: whoever comes second waits until the first has left."""
    async with Server(classic=True, classic_ports=free_ports(1)) as server:
        first, second = await net.login(server.target), await net.login(server.target)
        room = await first.make()
        reply = await second.command(request.MAKE_CHANNEL)
        assert reply == pb.CommandReply(status=pb.CommandReply.FAILURE)
        assert await second.channels() == [room.channel]  # nothing is left of the attempt
        joins = await second.join(room.channel)
        assert joins.address == room.address
        await joins.leave()
        await room.leave()

        async def made() -> bool:
            return (await second.command(request.MAKE_CHANNEL)).status == pb.CommandReply.SUCCESS

        await eventually(made, "the port is free again")


async def test_a_port_of_another_program_is_left_out(net: Network) -> None:
    ports = free_ports(2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.first))
        other.listen()
        async with Server(listen="localhost:0", classic=True, classic_ports=ports) as server:
            user = await net.login(server.target)
            room = await user.make()
            assert room.address.endswith(f":{ports.last}")
            await room.say("here")
        async with Server(classic=True, classic_ports=PortRange(ports.first, ports.first)) as server:
            user = await net.login(server.target)
            assert (await user.command(request.MAKE_CHANNEL)).status == pb.CommandReply.FAILURE


async def test_seventy_channels(net: Network) -> None:
    """The ancestor had four."""
    async with Server(classic=True, classic_ports=free_ports(70)) as server:
        users = await asyncio.gather(*(net.login(server.target) for _ in range(71)))
        rooms = await asyncio.gather(*(user.make() for user in users[:70]))
        assert len({room.address for room in rooms}) == 70
        assert (await users[70].command(request.MAKE_CHANNEL)).status == pb.CommandReply.FAILURE
        assert sorted(await users[70].channels()) == sorted(room.channel for room in rooms)
        visitor = await users[70].join(rooms[33].channel)
        heard = await visitor.hear()
        await asyncio.gather(*(room.say(f"in {room.channel}") for room in rooms))
        assert await read(heard) == chat(users[33].index, f"in {visitor.channel}")


async def test_moves_of_one_user_at_once_leave_it_in_one_place(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    channels = [await sumi.make(f"room-{number}") for number in range(4)]
    await asyncio.gather(*(user.join(channel) for channel in channels), user.make())
    assert [index for index, _ in await other.users()] == [user.index, other.index]
    await asyncio.gather(user.make(), user.goodbye(), user.make(), return_exceptions=True)
    await eventually(lambda: _gone(other, user.index, channels), "nothing is left of the user")


async def _gone(other: Classic, index: int, kept: list[int]) -> bool:
    channels = await other.channels()
    listed = [user for channel in channels for user, _ in await other.users(channel)]
    return channels == kept and index not in listed


async def _silent(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0
