"""Nodes that are cut off from something that the others still reach."""

from __future__ import annotations

from typing import Any

import pytest
from bus.conftest import QUICK
from classic.people import Classic, Network, eventually, free_ports, network
from faults.proxy import Proxy

import madang
from madang.classic import client_to_agent_pb2 as pb
from madang.rpc.classic.times import Times

from .conftest import Cluster, know_each_other
from .test_apart import is_out


async def test_a_process_that_has_lost_nats_alone_keeps_its_classic_users(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others hear nothing of their lives, but the database does. When that ends, they are taken out."""
    monkeypatch.setattr("madang.bus.nodes.Times", lambda: QUICK)
    monkeypatch.setattr("madang.services.together.LEAVE_GRACE", 300_000)
    times = Times(first_beat=1.0, grace=0.5, prove=0.1, unseen=1.5, tidy=0.05)
    kind: dict[str, Any] = {"classic": True, "classic_times": times, "guests": True}
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
