"""A node that goes sends its clients to the others, a few at a time; nobody loses or repeats anything."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from faults.process import eventually

import madang

from .conftest import Cluster, know_each_other

CROWD = 200


class Leaver:
    """A client that reads along, and notes how it was sent away and what it read."""

    def __init__(self, client: madang.Client) -> None:
        self.client = client
        self.texts: list[str] = []
        self.errors: list[madang.MadangError] = []

    async def read(self, last: str) -> None:
        """Read until somebody has said the last word."""
        async for event in self.client.events():
            if isinstance(event, madang.Disconnected):
                self.errors.append(event.error)
            elif isinstance(event, madang.MessageEvent) and event.message.content is madang.Content.TEXT:
                self.texts.append(event.message.text)
                if event.message.text == last:
                    return


async def test_they_leave_spread_out(cluster: Cluster) -> None:
    """They came when there was no other node yet, and were told of it since."""
    going = await cluster.server(handover=4.0).start()
    crowd = [Leaver(client) for client in await asyncio.gather(*(madang.connect(going.target) for _ in range(CROWD)))]
    staying = await cluster.server().start()
    await know_each_other(going, staying)
    async with AsyncExitStack() as stack:
        for leaver in crowd:
            stack.push_async_callback(leaver.client.close, drain=0)
        await _they_leave(crowd, going, staying)


async def _they_leave(crowd: list[Leaver], going: madang.Server, staying: madang.Server) -> None:
    reading = [asyncio.create_task(leaver.read("last")) for leaver in crowd]
    async with madang.connect(going.target, live=False) as writer:
        said = [f"message {number}" for number in range(60)]
        await writer.send("lobby", said[0])
        stopping = asyncio.create_task(going.stop())
        await eventually(lambda: any(leaver.errors for leaver in crowd), "the first ones are sent away", every=0.005)
        assert sum(bool(leaver.errors) for leaver in crowd) < CROWD / 4, "not all at once"
        for text in said[1:]:
            await writer.send("lobby", text, timeout=20)
            await asyncio.sleep(0.05)
        await stopping
        await writer.send("lobby", "last")
    await asyncio.gather(*reading)
    for leaver in crowd:
        assert leaver.texts == [*said, "last"]
        assert leaver.errors
        assert {type(error) for error in leaver.errors} == {madang.ServerDraining}, leaver.errors
        assert {error.nodes for error in leaver.errors if isinstance(error, madang.ServerDraining)} == {
            (staying.target,)
        }, "they are told where to go"
        assert leaver.client.server.target == staying.target


async def test_where_there_is_no_other_node_nobody_is_kept_waiting(cluster: Cluster) -> None:
    """There is nowhere to go: the shutdown is that of a single node, without the time of a handover."""
    alone = await cluster.server(handover=3600.0).start()
    async with madang.connect(alone.target) as client:
        reader = Leaver(client)
        reading = asyncio.create_task(reader.read("nothing"))
        async with asyncio.timeout(20):
            await alone.stop()
            await eventually(lambda: bool(reader.errors), "it is told")
        reading.cancel()
        error = reader.errors[0]
        assert isinstance(error, madang.ServerDraining)
        assert error.retry_after == 1.0
