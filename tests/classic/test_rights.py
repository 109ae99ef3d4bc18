"""The rights of channels hold for classic users too, and the classic contract knows of no owners."""

from __future__ import annotations

import grpc

from madang.classic import client_to_agent_pb2 as pb
from madang.node.embed import Server
from madang.v1 import lobby_service_pb2 as lobby_pb
from madang.v1 import resources_pb2

from .people import Classic, Madang, Network, ended, joined, left, read, refused, request

FAILURE, SUCCESS = pb.CommandReply.FAILURE, pb.CommandReply.SUCCESS


async def hide(sumi: Madang, name: str) -> int:
    """A private channel of sumi's that lets guests in."""
    kind = resources_pb2.CHANNEL_KIND_PRIVATE
    asked = lobby_pb.CreateChannelRequest(name=name, kind=kind)
    made = await sumi.lobby.CreateChannel(asked, metadata=sumi.metadata)
    await let_guests_in(sumi, made.channel.channel_id, True)
    return int(made.channel.channel_id)


async def let_guests_in(sumi: Madang, channel: int, guests: bool) -> None:
    await sumi.lobby.UpdateChannel(
        lobby_pb.UpdateChannelRequest(channel_id=channel, guests=guests), metadata=sumi.metadata
    )


async def remove(sumi: Madang, channel: int, user: Classic) -> None:
    asked = lobby_pb.RemoveMemberRequest(channel_id=channel, user_id=user.index)
    await sumi.lobby.RemoveMember(asked, metadata=sumi.metadata)


async def ban(sumi: Madang, channel: int, user: Classic) -> None:
    asked = lobby_pb.BanMemberRequest(channel_id=channel, user_id=user.index)
    await sumi.lobby.BanMember(asked, metadata=sumi.metadata)


async def test_a_removed_classic_user_hears_nothing_more_and_may_come_back(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    kitchen = await sumi.make("kitchen")
    room, others = await user.join(kitchen), await other.join(kitchen)
    chat, status = await room.hear(), await others.watch()
    await remove(sumi, kitchen, user)
    assert await ended(chat) is grpc.StatusCode.OK
    assert await read(status) == left(user.index, kitchen)
    assert (user.index, kitchen) not in await user.users()
    again = await user.join(kitchen)
    assert await read(status) == joined(user.index, kitchen)
    await again.say("back")


async def test_a_banned_classic_user_stays_out_by_every_way(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    kitchen = await sumi.make("kitchen")
    room = await user.join(kitchen)
    await other.join(kitchen)  # keeps the address open
    await ban(sumi, kitchen, user)
    assert (await user.command(request.JOIN_CHANNEL, kitchen)).status == FAILURE
    with refused(grpc.StatusCode.PERMISSION_DENIED, "BANNED_FROM_CHANNEL"):
        await room.watch()
    with refused(grpc.StatusCode.PERMISSION_DENIED, "NOT_A_MEMBER"):
        await room.say("still here?")


async def test_a_channel_without_guests_is_neither_shown_nor_entered(server: Server, net: Network) -> None:
    user = await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    kitchen, hall = await sumi.make("kitchen"), await sumi.make("hall")
    await let_guests_in(sumi, kitchen, False)
    assert await user.channels() == [hall]
    assert (await user.command(request.JOIN_CHANNEL, kitchen)).status == FAILURE


async def test_a_private_channel_is_not_there(server: Server, net: Network) -> None:
    user, other = await net.login(server.target), await net.login(server.target)
    sumi = await net.sign_in(server.target, "sumi")
    live = await sumi.subscribe()
    secret = await hide(sumi, "secret")
    assert await user.channels() == []
    for command in (request.JOIN_CHANNEL, request.LIST_USERS):
        assert (await user.command(command, secret)).status == FAILURE
    assert (sumi.user_id, 0) in await user.users(), "in no channel that anyone would know of"
    asked = lobby_pb.AddMemberRequest(channel_id=secret, user_id=user.index)
    await sumi.lobby.AddMember(asked, metadata=sumi.metadata)
    room = await user.join(secret)
    await room.say("let in")
    assert (user.index, 0) in await other.users()
    assert sorted(await user.users(secret)) == sorted([(sumi.user_id, secret), (user.index, secret)])
    await room.leave()
    assert (await user.command(request.JOIN_CHANNEL, secret)).status == FAILURE
    live.cancel()


async def test_a_classic_user_may_always_leave_and_the_channel_has_an_owner(server: Server, net: Network) -> None:
    user, sumi = await net.login(server.target), await net.sign_in(server.target, "sumi")
    room = await user.make()
    await sumi.join(room.channel)
    await room.leave()
    await sumi.archive(room.channel)  # only an owner may
    other = await net.login(server.target)
    left_behind = await other.make()
    await sumi.join(left_behind.channel)
    await other.make()
    await sumi.archive(left_behind.channel)
    third = await net.login(server.target)
    last = await third.make()
    await sumi.join(last.channel)
    await third.goodbye()
    await sumi.archive(last.channel)
