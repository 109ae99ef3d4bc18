"""Each of the four services in a process of its own: clients of both contracts find their way, and each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from classic.people import Classic, Network, chat, ended, free_ports, joined, left, network, read, refused
from client.conftest import texts
from faults.process import ServerProcess
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support import eventually

import madang
from madang.classic import client_to_agent_pb2 as classic_pb
from madang.classic.client_to_agent_pb2_grpc import AgentStub
from madang.core.cluster import SERVICES
from madang.rpc.classic.times import Times

from .conftest import Cluster, know_each_other

SERVING = health_pb2.HealthCheckResponse.SERVING


def apart(cluster: Cluster) -> dict[str, ServerProcess]:
    """Four processes, one for each service, not started."""
    ports = free_ports(4)
    options = "--classic", "--classic-ports", str(ports)
    nodes = {name: cluster.node("--services", name, *options) for name in SERVICES}
    for node in nodes.values():
        node.arguments.append("--guests")
    return nodes


@pytest.fixture
async def nodes(cluster: Cluster) -> dict[str, ServerProcess]:
    """The same, running."""
    made = apart(cluster)
    for node in made.values():
        node.launch()
    for node in made.values():
        await node.serving()
    return made


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """Connections for a test."""
    async with network() as connections:
        yield connections


async def health(target: str, service: str) -> int | None:
    """What a process says of a service; None where it knows no such service."""
    async with grpc.aio.insecure_channel(target) as channel:
        call = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        if await call.code() is grpc.StatusCode.NOT_FOUND:
            return None
        status: int = (await call).status
        return status


async def test_the_four_services_as_four_processes(nodes: dict[str, ServerProcess], net: Network) -> None:
    for name, node in nodes.items():
        for other in SERVICES:
            expected = SERVING if other == name else None
            assert await health(node.target, f"madang.v1.{other.title()}Service") == expected
    agent = nodes["agent"].target
    async with (
        madang.connect(agent, handle="mina") as mina,
        madang.connect(agent, handle="joon") as joon,
    ):
        room = await mina.create_channel("kitchen")
        await joon.join(room)
        await mina.send(room, "hello")
        assert await texts(joon, 1) == ["hello"]
        one, two = await net.login(agent), await net.login(agent)
        assert one.reply.heartbeat_ip == nodes["heartbeat"].target
        assert one.reply.lobby_ip == nodes["lobby"].target
        await _chat(one, two, mina)
        await _leave(one, two)


async def _chat(one: Classic, other: Classic, mina: madang.Client) -> None:
    """Lobby and channel, over both contracts."""
    await other.begin_heartbeat()
    watching = await other.watch()
    await one.begin_heartbeat()
    come = [await read(watching)]
    while come[-1] != joined(one.index):  # that others are here may be heard of only now: it comes from other nodes
        come.append(await read(watching))
    assert len(come) <= 3, come
    await eventually(lambda: one.lives(other.index), "each is seen to live")
    hearing = await other.hear()
    await one.say("classic words")
    assert await read(hearing) == chat(one.index, "classic words")
    assert await texts(mina, 2) == ["hello", "classic words"]
    await mina.send("lobby", "words of today")
    assert await read(hearing) == chat(mina.me.user_id, "words of today")
    room = await one.make()
    same = await other.join(room.channel)
    assert same.address == room.address
    listening = await room.hear()
    await same.say("only here")
    assert await read(listening) == chat(other.index, "only here")
    status = await room.watch()
    await same.leave()
    assert await read(status) == left(other.index, room.channel)
    assert (one.index, room.channel) in await other.users()


async def _leave(one: Classic, other: Classic) -> None:
    """Who says good-bye in the Lobby's process is gone in the others."""
    beat = await one.begin_heartbeat()
    watching = await other.watch()
    await one.goodbye()
    assert await read(watching) == left(one.index)
    assert await ended(beat) is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await one.begin_heartbeat()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert not await other.lives(one.index)


async def test_nobody_who_lives_elsewhere_is_taken_out(cluster: Cluster, net: Network) -> None:
    """Its heart beats at one process; at the others its time has long been over."""
    times = Times(first_beat=1.5, grace=0.5, tidy=0.05)

    def server(*names: str) -> madang.Server:
        return cluster.server(services=names, classic=True, classic_ports=free_ports(4), classic_times=times)

    async with server("heartbeat") as beating, server("lobby", "channel") as chatting:
        async with server("agent") as agent:
            await know_each_other(beating, chatting, agent)
            user = await net.login(agent.target)
            assert {user.reply.heartbeat_ip, user.reply.lobby_ip} == {beating.target, chatting.target}
            await user.begin_heartbeat()
            room = await user.make()
            await _one_is_taken_out(net, agent, user)
        async with server("agent") as another:  # knows nobody but from the store
            await know_each_other(beating, chatting, another)
            await _one_is_taken_out(net, another, user)
            await room.say("still here")
            assert (user.index, room.channel) in await user.users()


async def _one_is_taken_out(net: Network, agent: madang.Server, user: Classic) -> None:
    """Somebody who comes later and never beats; by then the time of the others is over, too."""
    late = await net.login(agent.target)
    await late.say("I shall not stay")
    await eventually(lambda: is_out(late), "who never beats is taken out")
    assert await user.lives()


async def is_out(user: Classic) -> bool:
    """Whether nobody honours its index any more."""
    try:
        await user.say("still there?")
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.PERMISSION_DENIED
    return False


async def test_a_service_that_nobody_serves(cluster: Cluster) -> None:
    async with cluster.server(services=("agent",), classic=True) as agent:
        with pytest.raises(madang.ServerUnreachable, match="no node serves the heartbeat service now"):
            await madang.connect(agent.target, timeout=1, live=False)
        async with grpc.aio.insecure_channel(agent.target) as channel:
            with refused(grpc.StatusCode.UNAVAILABLE, "SERVICE_MISSING"):
                await AgentStub(channel).TryLogin(classic_pb.LoginRequest())
        async with cluster.server(services=("heartbeat", "lobby", "channel")), madang.connect(agent.target) as mina:
            await mina.send("lobby", "hello")


async def test_one_of_two_channel_processes_is_killed(cluster: Cluster) -> None:
    """There is one Agent: it knows another place, and does not send the client to the dead one again."""
    channels = {node.target: node for node in await cluster.start(2, "--services", "channel", "--guests")}
    async with (
        cluster.server(services=("agent", "heartbeat", "lobby")) as others,
        madang.connect(others.target, handle="mina") as mina,
    ):
        await mina.send("lobby", "one")
        at = mina._transport._at.channel
        channels[at].kill()
        async with asyncio.timeout(10):
            for number in range(20):
                await mina.send("lobby", f"more {number}")
        assert await texts(mina, 21) == ["one", *(f"more {number}" for number in range(20))]
        assert mina._transport._at.channel == (set(channels) - {at}).pop()
