"""Nodes that are cut off from something that the others still reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bus.conftest import QUICK
from classic.people import Classic, Network, free_ports, network
from faults.proxy import Proxy
from grpc_health.v1 import health_pb2
from support import eventually

import madang
from madang.classic import client_to_agent_pb2 as pb
from madang.rpc.classic.times import Times

from .conftest import Cluster, know_each_other
from .test_apart import SERVING, health, is_out
from .test_handover import Leaver

PROMPT = {"bus.link.PING_EVERY": 0.2, "bus.link.PONG_WITHIN": 0.3, "node.node.ISOLATION_EVERY": 0.2}
"""So that it is noticed sooner than in a cluster that people use."""


async def test_a_process_that_has_lost_nats_alone_keeps_its_classic_users(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others hear nothing of their lives, but the database does. When that ends, they are taken out."""
    kind = _classic(monkeypatch, unseen=1.5)
    async with (
        Proxy(cluster.bus.removeprefix("nats://")) as link,
        network() as net,
        cluster.server(classic_ports=free_ports(4), **kind) as other,
    ):
        async with cluster.server(classic_ports=free_ports(4), bus=(f"nats://{link.target}",), **kind) as lonely:
            await know_each_other(lonely, other)
            user = await net.login(lonely.target)
            await user.begin_heartbeat()
            elsewhere = _at(net, user, other)
            await elsewhere.say("the other process knows me")
            late = await net.login(lonely.target)
            await link.refuse()
            await _at(net, late, other).begin_heartbeat()  # of which its first process never hears
            await eventually(lambda: _shows_offline(other, user.index), "nothing is heard of its node any more")
            seen = await _last_use(other, user.index)
            for _ in range(3):
                await eventually(lambda seen=seen: _is_used_since(other, user.index, seen), "it was looked for")  # type: ignore[misc]
                seen = await _last_use(other, user.index)
            await user.say("still here")
            await elsewhere.say("and here")
            await late.say("so am I")
        await eventually(lambda: is_out(elsewhere), "its process has gone, and nobody writes down that it lives")


async def test_a_database_that_was_away_for_all_takes_out_no_classic_user(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could write down meanwhile whose heart beats: the first look after it finds what the last one found."""
    kind = _classic(monkeypatch, unseen=1.0)
    async with (
        linked(cluster, classic_ports=free_ports(4), **kind) as (lonely, lonely_links),
        linked(cluster, classic_ports=free_ports(4), **kind) as (other, links),
        network() as net,
    ):
        await know_each_other(lonely, other)
        user = await net.login(lonely.target)
        await user.begin_heartbeat()
        elsewhere = _at(net, user, other)
        await elsewhere.say("the other process knows me")
        await lonely_links.bus.refuse()
        await eventually(lambda: _shows_offline(other, user.index), "nothing is heard of its node any more")
        await lonely_links.database.refuse()
        await links.database.refuse()
        await eventually(lambda: _cannot_say(other, user.index), "its time came, and nobody could ask")
        await links.database.listen()
        await eventually(lambda: _is_used_since(other, user.index, 0), "that was asked at last")
        seen = await _last_use(other, user.index)
        await lonely_links.database.listen()
        await eventually(lambda: _is_used_since(other, user.index, seen), "it was written down that it lives")
        await elsewhere.say("still here")


def _classic(monkeypatch: pytest.MonkeyPatch, unseen: float) -> dict[str, Any]:
    """The settings of a process with classic users that notices soon who is gone. `unseen`: seconds, see Times."""
    monkeypatch.setattr("madang.bus.nodes.Times", lambda: QUICK)
    monkeypatch.setattr("madang.services.together.LEAVE_GRACE", 300_000)
    times = Times(first_beat=1.0, grace=0.5, prove=0.1, unseen=unseen, tidy=0.05)
    return {"classic": True, "classic_times": times, "guests": True}


async def _cannot_say(server: madang.Server, index: int) -> bool:
    return await _last_use(server, index) < 0


def _at(net: Network, user: Classic, server: madang.Server) -> Classic:
    """The same user at another process."""
    return Classic(net, pb.LoginReply(index=user.index, heartbeat_ip=server.target, lobby_ip=server.target))


async def _shows_offline(server: madang.Server, index: int) -> bool:
    return index not in {presence.user_id for presence in server._node._heartbeat.here()}


async def _last_use(server: madang.Server, index: int) -> int:
    """When the user was last used elsewhere, as far as this process knows; it must know the user."""
    assert server._node._classic is not None
    guest = server._node._classic._roster.find(index)
    assert guest is not None, "it was taken out"
    return guest.session.used_at


async def _is_used_since(server: madang.Server, index: int, before: int) -> bool:
    return await _last_use(server, index) > before


class Links:
    """What a node reaches PostgreSQL and NATS over."""

    def __init__(self, database: Proxy, bus: Proxy) -> None:
        self.database, self.bus = database, bus
        self.both = (database, bus)

    def freeze(self) -> None:
        """They carry nothing more, and stay open: nothing tells the node."""
        for link in self.both:
            link.freeze()

    def calm(self) -> None:
        """They carry everything again."""
        for link in self.both:
            link.calm()


@asynccontextmanager
async def linked(cluster: Cluster, **settings: Any) -> AsyncIterator[tuple[madang.Server, Links]]:
    """A node whose links can be cut."""
    server, _, name = cluster.database.rpartition("/")
    host = server.rpartition("@")[2]
    async with Proxy(host) as database, Proxy(cluster.bus.removeprefix("nats://")) as bus:
        links = Links(database, bus)
        url = f"{server.removesuffix(host)}{database.target}/{name}"
        async with cluster.server(database=url, bus=(f"nats://{bus.target}",), **settings) as node:
            try:
                yield node, links
            finally:
                links.calm()


@pytest.fixture
def _prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PROMPT.items():
        monkeypatch.setattr(f"madang.{name}", value)


async def is_serving(server: madang.Server) -> bool:
    return bool(await health(server.target, "") == SERVING)


@pytest.mark.usefixtures("_prompt")
async def test_a_node_that_reaches_nothing_sends_its_clients_to_another(cluster: Cluster) -> None:
    """They read on there, and what was on its way is stored; new ones are told not to come."""
    async with linked(cluster) as (lonely, links), cluster.server() as other:
        await know_each_other(lonely, other)
        async with (
            madang.connect(lonely.target, handle="mina") as mina,
            madang.connect(other.target, handle="joon") as joon,
        ):
            if mina.server.target != lonely.target:
                assert await mina._transport.elsewhere(mina._transport.visit)
            reader = Leaver(mina)
            reading = asyncio.create_task(reader.read("last"))
            await joon.send("lobby", "first")
            await eventually(lambda: _has_read(reader, "first"), "it reads")
            links.freeze()
            outgoing = mina.post("lobby", "on its way")
            await joon.send("lobby", "meanwhile")
            await outgoing.stored()
            assert mina.server.target == other.target
            assert await health(lonely.target, "") == health_pb2.HealthCheckResponse.NOT_SERVING
            await joon.send("lobby", "last")
            await reading
            assert sorted(reader.texts) == sorted(["first", "meanwhile", "on its way", "last"])
        links.calm()
        await eventually(lambda: is_serving(lonely), "it is back")


async def _has_read(reader: Leaver, text: str) -> bool:
    return text in reader.texts


@pytest.mark.usefixtures("_prompt")
async def test_where_nobody_reaches_anything_clients_do_not_circle(cluster: Cluster) -> None:
    """Each is told once, finds that it is nowhere better, and goes on where it is when everything is back."""
    async with linked(cluster) as (one, links), linked(cluster) as (other, other_links):
        await know_each_other(one, other)
        async with madang.connect(one.target, handle="mina") as mina:
            at, elsewhere = (one, other) if mina.server.target == one.target else (other, one)
            reader = Leaver(mina)
            reading = asyncio.create_task(reader.read("last"))
            await mina.send("lobby", "first")
            await eventually(lambda: _has_read(reader, "first"), "it reads")
            cut = {one: links, other: other_links}
            visit = mina._transport.visit
            for node in (elsewhere, at):
                cut[node].freeze()
                await eventually(lambda node=node: _is_isolated(node), "it notices")  # type: ignore[misc]
            await eventually(lambda: _was_told(reader), "it is sent away")
            cut[at].calm()
            await eventually(lambda: is_serving(at), "it is back")
            cut[elsewhere].calm()
            await mina.send("lobby", "last", timeout=30)
            async with asyncio.timeout(30):
                await reading
            assert reader.texts == ["first", "last"]
            assert mina._transport.visit == visit
            assert sum(isinstance(error, madang.ServerDraining) for error in reader.errors) <= 2


async def _is_isolated(server: madang.Server) -> bool:
    return server._node._guide.is_isolated


async def _was_told(reader: Leaver) -> bool:
    return any(isinstance(error, madang.ServerDraining) for error in reader.errors)
