"""The Lobby: chat, status, commands, exit."""

from __future__ import annotations

import grpc
import pytest

from madang.classic import client_to_agent_pb2 as pb
from madang.node.embed import Server

from .people import Call, Network, chat, ended, joined, left, quiet, read, refused, request, until


async def test_chat_reaches_everybody_else(server: Server, net: Network) -> None:
    users = [await net.login(server.target) for _ in range(3)]
    streams = [await user.hear() for user in users]
    await users[0].say("one")
    await users[1].say("two")
    assert await read(streams[2]) == chat(users[0].index, "one")
    assert await read(streams[2]) == chat(users[1].index, "two")
    assert await read(streams[0]) == chat(users[1].index, "two")
    await quiet(streams[1], lambda: users[2].say("three"), chat(users[0].index, "one"))
    assert await read(streams[1]) == chat(users[2].index, "three")


async def test_a_stream_begins_now(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    await user.say("before")
    stream = await other.hear()
    await quiet(stream, lambda: user.say("after"), chat(user.index, "after"))


async def test_status_tells_who_comes_and_goes_but_not_of_the_user_itself(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    status = await user.watch()
    await user.begin_heartbeat()
    await other.begin_heartbeat()
    assert await read(status) == joined(other.index)
    sumi = await net.sign_in(server.target, "sumi")
    subscription = await sumi.subscribe()
    assert await read(status) == joined(sumi.user_id)
    subscription.cancel()
    await other.goodbye()
    assert await read(status) == left(other.index)


async def test_an_idle_user_is_told_to_quit_once(hasty: Server, net: Network) -> None:
    user = await net.login(hasty.target)
    await user.begin_heartbeat()
    status = await user.watch()
    quit_ = pb.StatusReply(status=pb.StatusReply.QUIT, index=user.index)
    assert await user.lobby.TryUserExit(user.me) == pb.StatusReply(status=pb.StatusReply.OK, index=user.index)
    assert await read(status) == quit_
    assert await user.lobby.TryUserExit(user.me) == quit_
    other = await net.login(hasty.target)
    await other.begin_heartbeat()
    assert await read(status) == joined(other.index)
    await until(await other.watch(), pb.StatusReply(status=pb.StatusReply.QUIT, index=other.index))
    await quiet(status, other.goodbye, left(other.index))  # idle for twice as long by now, and not told twice


@pytest.mark.parametrize("act", ["lobby chat", "channel chat", "command"])
async def test_every_act_renews_the_idle_time(hasty: Server, net: Network, act: str) -> None:
    user = await net.login(hasty.target)
    await user.begin_heartbeat()
    room = await user.make()
    status = await user.watch()
    assert (await read(status)).status == pb.StatusReply.QUIT
    match act:
        case "lobby chat":
            await user.say("still here")
        case "channel chat":
            await room.say("still here")
        case "command":
            await user.channels()
    assert (await user.lobby.TryUserExit(user.me)).status == pb.StatusReply.OK
    assert (await read(status)).status == pb.StatusReply.QUIT  # the next time that it is idle


async def test_removal_ends_everything_of_the_user(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    heartbeat = await user.begin_heartbeat()
    room = await user.make()
    theirs = await (await other.join(room.channel)).watch()
    streams: list[Call] = [await user.hear(), await user.watch(), await room.hear(), await room.watch(), heartbeat]
    await user.goodbye()
    for stream in streams:
        assert await ended(stream) is grpc.StatusCode.OK
    assert await read(theirs) == left(user.index, room.channel)
    assert await other.users() == [(other.index, room.channel)]
    assert not await other.lives(user.index)
    with refused(grpc.StatusCode.PERMISSION_DENIED, "FOREIGN_INDEX"):
        await user.say("from beyond")


async def test_channels_are_made_and_listed(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    assert await user.channels() == []
    reply = await user.command(request.MAKE_CHANNEL)
    assert reply.status == pb.CommandReply.SUCCESS
    assert len(reply.channels) == 1
    host, _, port = reply.address.rpartition(":")
    assert host == "127.0.0.1"
    ports = server.settings.classic_ports
    assert ports.first <= int(port) <= ports.last
    second = await other.make()
    assert await user.channels() == [reply.channels[0], second.channel]
    assert await user.users() == [(user.index, reply.channels[0]), (other.index, second.channel)]


async def test_a_channel_is_joined_at_its_address(server: Server, net: Network) -> None:
    maker, other = await net.login(server.target), await net.login(server.target)
    made = await maker.make()
    reply = await other.command(request.JOIN_CHANNEL, made.channel)
    assert (reply.status, reply.address) == (pb.CommandReply.SUCCESS, made.address)
    assert await other.command(request.JOIN_CHANNEL, made.channel) == reply


@pytest.mark.parametrize("channel", [None, 0, 1, 99, -5, 2**31 - 1])
async def test_there_is_no_such_channel_to_join(server: Server, net: Network, channel: int | None) -> None:
    user = await net.login(server.target)
    mine = await user.make()
    reply = await user.command(request.JOIN_CHANNEL, channel)
    assert reply == pb.CommandReply(status=pb.CommandReply.FAILURE)
    assert await user.users() == [(user.index, mine.channel)]


async def test_an_archived_channel_is_neither_listed_nor_joined(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    attic = await sumi.make("attic")
    assert await user.channels() == [attic]
    await sumi.archive(attic)
    assert await user.channels() == []
    assert (await user.command(request.JOIN_CHANNEL, attic)).status == pb.CommandReply.FAILURE
    assert await user.users() == [(user.index, 0)]


@pytest.mark.parametrize("channel", [None, 0, 77])
async def test_leaving_succeeds_wherever_the_user_is(server: Server, net: Network, channel: int | None) -> None:
    user = await net.login(server.target)
    assert (await user.command(request.LEAVE_CHANNEL, channel)).status == pb.CommandReply.SUCCESS
    mine = await user.make()
    assert (await user.command(request.LEAVE_CHANNEL, channel)).status == pb.CommandReply.SUCCESS
    stays = channel == 77  # another channel than the one that it is in
    assert await user.users() == [(user.index, mine.channel if stays else 0)]


async def test_a_user_is_in_one_channel_at_most(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    first, second = await user.make(), await other.make()
    theirs = await (await other.join(first.channel)).watch()
    assert await user.channels() == [first.channel]  # nobody stayed in the second
    third = await user.make()
    assert await read(theirs) == left(user.index, first.channel)
    assert await user.users() == [(user.index, third.channel), (other.index, first.channel)]
    assert second.channel not in await user.channels()


async def test_users_are_listed_by_channel(server: Server, net: Network) -> None:
    users = [await net.login(server.target) for _ in range(3)]
    sumi = await net.sign_in(server.target, "sumi")
    away = await net.sign_in(server.target, "away")
    await sumi.subscribe()
    room = await users[0].make()
    await users[1].join(room.channel)
    await sumi.join(room.channel)
    await away.join(room.channel)
    kitchen = await sumi.make("kitchen")
    inside = [(users[0].index, room.channel), (users[1].index, room.channel), (sumi.user_id, room.channel)]
    assert await users[2].users(room.channel) == inside
    everyone = [*inside[:2], (users[2].index, 0), inside[2], (sumi.user_id, kitchen)]
    assert await users[2].users() == await users[2].users(0) == everyone
    assert [user for user, _ in await users[2].users(1)] == [*(user.index for user in users), sumi.user_id]
    assert (await users[2].command(request.LIST_USERS, 99)).status == pb.CommandReply.FAILURE


@pytest.mark.parametrize("status", list(pb.CommandRequest.Status.values()))
async def test_an_unknown_index_gets_failure(
    server: Server, net: Network, status: pb.CommandRequest.Status.ValueType
) -> None:
    user = await net.login(server.target)
    for index in (0, -1, 12345):
        reply = await user.lobby.TryCommand(pb.CommandRequest(status=status, index=index))
        assert reply == pb.CommandReply(status=pb.CommandReply.FAILURE)


async def test_an_unknown_command_gets_failure(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    assert await user.command(17) == pb.CommandReply(status=pb.CommandReply.FAILURE)
