"""Equal nodes: a client may be at any of them, and goes to another one when its own goes."""

from __future__ import annotations

import asyncio
import time

import madang

from .conftest import Cluster


async def texts(client: madang.Client, count: int) -> list[str]:
    """The words of the next messages."""
    seen: list[str] = []
    async with asyncio.timeout(20):
        async for event in client.events():
            if isinstance(event, madang.MessageEvent) and event.message.content is madang.Content.TEXT:
                seen.append(event.message.text)
                if len(seen) == count:
                    break
    return seen


async def test_two_nodes_are_one_server(cluster: Cluster) -> None:
    one, other = await cluster.start(2)
    async with madang.connect(one.target, handle="mina") as mina, madang.connect(other.target, handle="joon") as joon:
        await mina.send("lobby", "hello")
        assert await texts(joon, 1) == ["hello"]
        await joon.send("lobby", "hello yourself")
        assert await texts(mina, 2) == ["hello", "hello yourself"]
        assert set(mina.server.nodes) == {one.target, other.target}
    assert not one.data.exists(), "there is nothing to keep in a directory"
    print(one.output)


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
        print("pause", time.monotonic() - killed)
        assert [m.text async for m in joon.messages("lobby") if m.content is madang.Content.TEXT] == sent
        assert mina.server.target != at
