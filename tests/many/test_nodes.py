"""Equal nodes: a client may be at any of them, and goes to another one when its own goes."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from client.conftest import texts
from faults.process import eventually
from parts.postgres import Databases

import madang
from madang.client.backoff import Backoff
from madang.client.line import next_try
from madang.core.errors import StorageUnavailable
from madang.node.main import EXIT_NOW

from .conftest import Cluster, know_each_other


async def test_two_nodes_are_one_server(cluster: Cluster) -> None:
    one, other = await cluster.start(2)
    async with madang.connect(one.target, handle="mina") as mina, madang.connect(other.target, handle="joon") as joon:
        await mina.send("lobby", "hello")
        assert await texts(joon, 1) == ["hello"]
        await joon.send("lobby", "hello yourself")
        assert await texts(mina, 2) == ["hello", "hello yourself"]
        assert set(mina.server.nodes) == {one.target, other.target}
    assert not one.data.exists(), "there is nothing to keep in a directory"


async def test_a_node_without_the_bus_ends_streams_all_the_same(cluster: Cluster) -> None:
    """Somebody forgot `--bus` on one of them."""
    async with (
        cluster.server() as one,
        cluster.server(bus=()) as other,
        madang.connect(one.target) as mina,
        madang.connect(other.target, token=mina.token) as elsewhere,
    ):
        await mina.sign_out()
        with pytest.raises(madang.SessionRevoked):
            await _listen(elsewhere)


async def _listen(client: madang.Client) -> None:
    async with asyncio.timeout(5):
        async for _ in client.events():
            pass


async def test_a_node_is_killed(cluster: Cluster) -> None:
    """Each message once, in order, within five seconds, though both the writer and the reader lose their node."""
    nodes = {node.target: node for node in await cluster.start(2)}
    first = next(iter(nodes))
    async with madang.connect(first, handle="mina") as mina, madang.connect(first, handle="joon") as joon:
        assert len(mina.server.nodes) == 2, "it has heard of the other one"
        sent = [f"message {number}" for number in range(300)]
        outgoing = [mina.post("lobby", text) for text in sent[:100]]
        await outgoing[50].stored()
        at = mina.server.target
        killed = time.monotonic()
        nodes[at].kill()
        outgoing += [mina.post("lobby", text) for text in sent[100:]]
        await outgoing[-1].stored()
        assert time.monotonic() - killed < 5
        assert await texts(joon, 300) == sent
        assert [m.text async for m in joon.messages("lobby") if m.content is madang.Content.TEXT] == sent
        assert mina.server.target != at


async def test_who_came_before_the_others_did_is_told_of_them(cluster: Cluster) -> None:
    """Nobody could ask a node that was killed where the others are."""
    (alone,) = await cluster.start(1)
    async with madang.connect(alone.target, handle="mina") as mina, madang.connect(alone.target) as joon:
        assert set(mina.server.nodes) <= {alone.target}
        (later,) = await cluster.start(1)
        await eventually(
            lambda: set(mina.server.nodes) == set(joon.server.nodes) == {alone.target, later.target}, "they were told"
        )
        alone.kill()
        killed = time.monotonic()
        await mina.send("lobby", "hello")
        assert await texts(joon, 1) == ["hello"]
        assert time.monotonic() - killed < 5
        assert mina.server.target == joon.server.target == later.target
        await eventually(lambda: joon.server.nodes == (later.target,), "it is gone, and that is told", patience=20)


async def test_who_only_writes_asks_a_node_that_goes(cluster: Cluster) -> None:
    """It has no stream to be told by."""
    alone = await cluster.server().start()
    async with madang.connect(alone.target, live=False) as mina:
        await mina.send("lobby", "one")
        later = await cluster.server().start()
        await know_each_other(alone, later)
        assert set(mina.server.nodes) == {alone.target}
        await asyncio.gather(alone.stop(), mina.send("lobby", "two", timeout=10))
        await mina.send("lobby", "three", timeout=10)
        assert mina.server.target == later.target
    await later.stop()


async def test_a_node_hangs(cluster: Cluster) -> None:
    """It takes connections, and answers nothing: the keepalive notices, and everything that came meanwhile is there."""
    nodes = {node.target: node for node in await cluster.start(2)}
    first, second = nodes
    async with madang.connect(first, handle="mina") as mina, madang.connect(second, handle="joon", live=False) as joon:
        await mina.send("lobby", "one")
        assert await texts(mina, 1) == ["one"]
        there = mina.server.target
        if joon.server.target == there:
            assert await joon._transport.elsewhere(joon._transport.visit)
        nodes[there].pause()
        paused = time.monotonic()
        try:
            outgoing = mina.post("lobby", "two")
            await joon.send("lobby", "three")
            assert sorted(await texts(mina, 2)) == ["three", "two"]
            await outgoing.stored()
            assert time.monotonic() - paused < 15, "far less than the 30 seconds of a client that has nowhere to go"
            assert mina.server.target != there
            assert (await mina.user("joon")).handle == "joon"
        finally:
            nodes[there].resume()


async def test_a_store_that_is_away_is_away_for_all_nodes(cluster: Cluster) -> None:
    """One look elsewhere for a row of failures: each move more would close what the live stream runs over."""
    one, _ = await cluster.start(2)
    async with madang.connect(one.target) as client:
        transport, backoff = client._transport, Backoff()
        began = transport.visit
        for _ in range(3):
            await next_try(transport, transport.visit, StorageUnavailable(problem="it is away"), backoff)
        assert transport.visit == began + 1


async def test_a_second_signal_during_a_hand_over(cluster: Cluster) -> None:
    one, other = await cluster.start(2, "--handover", "3600")
    async with madang.connect(one.target) as client:
        going = one if client.server.target == one.target else other
        os.kill(going.pid, signal.SIGTERM)
        await eventually(lambda: "shutting down" in going.output, "it was heard")
        await client.send("lobby", "sends go on")
        code, _ = await going.terminate(10)
    assert code == EXIT_NOW


async def test_nodes_that_were_told_different_things(cluster: Cluster) -> None:
    """Each says so at its start, and what it is: the names, never the values."""
    one = cluster.node("--limits", "--password-time", "2", "--limit-reads", "7+7/s")
    other = cluster.node("--limits", "--registration", "open", "--limit-reads", "9+9/s")
    await one.start()
    await other.start()
    for node, name in ((one, "node-1"), (other, "node-0")):
        line = f"node {name} has other settings than this one, where all need the same: "
        await eventually(lambda node=node, line=line: line in node.output, "it warns")  # type: ignore[misc]
        (told,) = [text.partition(line)[2] for text in node.output.splitlines() if line in text]
        assert told == "limit_reads, password_time, registration"


async def test_two_clusters_with_one_name_on_one_bus(cluster: Cluster, databases: Databases) -> None:
    """Nobody gave them names. Neither shows anything of the other, or sends anybody there; and each says so."""
    ours = cluster.node()
    await ours.start()
    async with databases.migrated() as cluster.database:
        theirs = cluster.node()
        await theirs.start()
        for node, name in ((ours, "node-1"), (theirs, "node-0")):
            line = f"node {name} calls its cluster the same, and keeps its data in another database"
            await eventually(lambda node=node, line=line: line in node.output, "it is told")  # type: ignore[misc]
        async with (
            madang.connect(ours.target, handle="mina") as mina,
            madang.connect(theirs.target, handle="joon") as joon,
        ):
            for number in range(3):
                await mina.send("lobby", f"ours {number}")
            await joon.send("lobby", "theirs")
            assert await texts(mina, 3) == ["ours 0", "ours 1", "ours 2"]
            assert await texts(joon, 1) == ["theirs"]
            assert [user.handle for user in await joon.users()] == ["joon"]
            assert set(mina.server.nodes) == {ours.target}
            assert set(joon.server.nodes) == {theirs.target}
        for node in (ours, theirs):
            node.kill()


async def test_a_database_of_another_cluster(cluster: Cluster) -> None:
    """Two clusters on one database would not hear of each other's messages."""
    one = cluster.node()
    await one.start()
    cluster.name = "another"
    other = cluster.node()
    other.launch()
    code, line = await other.refuses()
    assert code == 1
    assert "belongs to the cluster" in line
