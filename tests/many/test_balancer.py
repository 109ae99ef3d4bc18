"""Nodes behind one balancer: all of them have its address, and a client whose node goes finds another one there.

It is HAProxy, with the compose file's configuration, where that is installed; otherwise a stand-in.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from client.conftest import texts
from faults.process import ServerProcess, eventually, free_port
from ops.balancer import Backend
from ops.haproxy import balancer

import madang

from .conftest import Cluster

HANDOVER = 3
PEOPLE = 4


async def test_a_node_hands_over_behind_a_balancer(cluster: Cluster) -> None:
    """Who is told to go goes on at the other node at once, not when the first one has ended; each message once."""
    nodes: list[ServerProcess] = []
    backends: list[Backend] = []
    for name in ("one", "other"):
        metrics = f"127.0.0.1:{free_port()}"
        nodes.append(cluster.node("--metrics", metrics, "--handover", str(HANDOVER)))
        backends.append(Backend(name, nodes[-1].target, metrics))
    async with balancer(backends) as before, AsyncExitStack() as stack:
        target = f"127.0.0.1:{before.port}"
        for node in nodes:
            node.arguments += ["--advertise", target]
        await nodes[0].start()
        await eventually(lambda: before.ready == {"one"}, "the first node is ready")
        people = [
            await stack.enter_async_context(madang.connect(target, handle=f"person-{number}"))
            for number in range(PEOPLE)
        ]
        await nodes[1].start()
        await eventually(lambda: before.ready == {"one", "other"}, "the other node is ready")
        assert all(len(person.server.nodes) == 1 for person in people)

        longest, ended = 0.0, asyncio.Event()

        async def write(person: madang.Client, number: int) -> list[str]:
            nonlocal longest
            sent: list[str] = []
            while not ended.is_set():
                sent.append(f"{number}: {len(sent)}")
                began = time.monotonic()
                await person.send("lobby", sent[-1])
                longest = max(longest, time.monotonic() - began)
                await asyncio.sleep(0.05)
            return sent

        writing = [asyncio.create_task(write(person, number)) for number, person in enumerate(people)]
        await nodes[0].terminate(30)
        assert all(person._transport.visit for person in people), "all had gone before the node had"
        ended.set()
        sent = await asyncio.gather(*writing)
        assert longest < HANDOVER
        for person in people:
            seen = await texts(person, sum(map(len, sent)))
            for number, own in enumerate(sent):
                assert [text for text in seen if text.startswith(f"{number}:")] == own, "nothing lost, nothing twice"
