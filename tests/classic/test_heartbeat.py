"""Agent and Heartbeat: the rows of the contract, and how users come and are taken out."""

from __future__ import annotations

import time

import grpc
import pytest
from support import eventually

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import AgentStub
from madang.node.embed import Server
from madang.node.settings import Address
from madang.rpc.classic.times import Times
from madang.v1 import heartbeat_service_pb2

from .people import Call, Classic, Network, ended, joined, left, read, until


async def test_a_login_answers_with_a_fresh_index_and_addresses(server: Server, net: Network) -> None:
    first, second = await net.login(server.target), await net.login(server.target)
    assert 0 < first.index < second.index
    for user in (first, second):
        assert user.reply.heartbeat_ip == user.reply.lobby_ip == server.target


@pytest.mark.parametrize("request_", [pb.LoginRequest(), pb.LoginRequest(ip="x" * 10_000)])
async def test_what_the_client_says_of_its_address_does_not_matter(
    server: Server, net: Network, request_: pb.LoginRequest
) -> None:
    reply = await AgentStub(net.connect(server.target)).TryLogin(request_)
    assert reply.index > 0


async def test_the_agent_hands_out_the_addresses_of_split_services(net: Network) -> None:
    async with Server(
        classic=True, listen="localhost:0", heartbeat=Address("localhost", 0), lobby=Address("localhost", 0)
    ) as server:
        user = await net.login(server.target.replace("localhost", "127.0.0.1"))
        addresses = {server.target.replace("localhost", "127.0.0.1"), user.reply.heartbeat_ip, user.reply.lobby_ip}
        assert len(addresses) == 3
        assert all(address.startswith("127.0.0.1:") for address in addresses)
        await user.begin_heartbeat()
        await user.say("at the lobby's own address")
        assert await user.lives()


async def test_the_time_comes_at_once_and_again_and_again(hasty: Server, net: Network) -> None:
    user = await net.login(hasty.target)
    call = user.heartbeat.TryHeartbeat(pb.HeartbeatRequest(index=user.index))
    began = time.monotonic()
    times = [(await read(call)).time for _ in range(5)]
    assert time.monotonic() - began >= 4 * 0.1
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 3


async def test_live_while_the_stream_is_up_and_unknown_after_the_grace(hasty: Server, net: Network) -> None:
    user, other = await net.login(hasty.target), await net.login(hasty.target)
    await other.begin_heartbeat()
    assert not await other.lives(user.index)
    call = await user.begin_heartbeat()
    assert await other.lives(user.index)
    call.cancel()
    assert await other.lives(user.index)  # the period of grace

    async def unknown() -> bool:
        return not await other.lives(user.index)

    await eventually(unknown, "UNKNOWN after the grace")
    assert not await other.lives(10**6)


async def test_a_user_that_never_begins_a_heartbeat_is_taken_out(net: Network) -> None:
    async with Server(classic=True, classic_times=Times(first_beat=0.5, tidy=0.02)) as server:
        user, other = await net.login(server.target), await net.login(server.target)
        await other.begin_heartbeat()
        chat = await user.hear()
        assert await ended(chat) is grpc.StatusCode.UNAUTHENTICATED
        assert await other.users() == [(other.index, 0)]
        reply = await user.lobby.TryCommand(pb.CommandRequest(index=user.index))
        assert reply.status == pb.CommandReply.FAILURE


async def test_who_is_about_to_be_taken_out_is_as_unknown_as_who_was(net: Network) -> None:
    async with Server(classic=True, classic_times=Times(tidy=3600)) as server:
        user = await net.login(server.target)
        assert server._node._classic is not None
        server._node._classic._roster.end(user.index)
        reply = await user.lobby.TryCommand(pb.CommandRequest(index=user.index))
        assert reply.status == pb.CommandReply.FAILURE


async def test_a_clock_that_is_set_back_keeps_nobody(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    behind = 0
    monkeypatch.setattr("madang.node.node.now", lambda: time.time_ns() // 1000 - behind)
    async with Server(classic=True, classic_times=Times(first_beat=0.5, tidy=0.02)) as server:
        user = await net.login(server.target)
        behind = 86_400 * 1_000_000

        async def is_taken_out() -> bool:
            try:
                await user.say("still here")
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.PERMISSION_DENIED
            return False

        await eventually(is_taken_out, "the user that shows no life is taken out")


async def test_a_user_whose_heartbeat_ended_is_taken_out_of_lobby_and_channel(hasty: Server, net: Network) -> None:
    user, other = await net.login(hasty.target), await net.login(hasty.target)
    await other.begin_heartbeat()
    call = await user.begin_heartbeat()
    mine = await user.make()
    theirs = await other.join(mine.channel)
    channel, lobby = await theirs.watch(), await other.watch()
    call.cancel()
    assert await read(channel) == left(user.index, mine.channel)
    await until(lobby, left(user.index))
    assert await other.users() == [(other.index, mine.channel)]


async def test_a_heartbeat_is_presence_to_madang_users(hasty: Server, net: Network) -> None:
    sumi = await net.sign_in(hasty.target, "sumi")
    watch = await sumi.watch_presence()
    user = await net.login(hasty.target)
    call = await user.begin_heartbeat()
    await _until_seen(watch, user.index, heartbeat_service_pb2.PRESENCE_STATUS_ONLINE)
    assert await user.lives(sumi.user_id)
    call.cancel()
    await _until_seen(watch, user.index, heartbeat_service_pb2.PRESENCE_STATUS_OFFLINE)


async def _until_seen(watch: Call, index: int, status: int) -> None:
    while (index, status) not in [(seen.user_id, seen.status) for seen in (await read(watch)).presences]:
        pass


async def test_two_heartbeats_of_one_user_count_as_long_as_one_is_up(hasty: Server, net: Network) -> None:
    user = await net.login(hasty.target)
    first, second = await user.begin_heartbeat(), await user.begin_heartbeat()
    first.cancel()
    for _ in range(10):  # longer than the grace
        await read(second)
    assert await user.lives()


async def test_coming_and_going_is_told_at_once(server: Server, net: Network) -> None:
    """The ancestor told of it every five seconds."""
    watcher = await net.login(server.target)
    status = await watcher.watch()
    began = time.monotonic()
    for _ in range(3):
        user: Classic = await net.login(server.target)
        await user.begin_heartbeat()
        assert await read(status) == joined(user.index)
        await user.goodbye()
        assert await read(status) == left(user.index)
    assert time.monotonic() - began < 3
