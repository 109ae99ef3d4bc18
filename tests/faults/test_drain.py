"""SIGTERM under load: no new sends, streams told to come back, exit within 10 s, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import random

import grpc
import pytest

from madang.node.embed import Server
from madang.node.settings import Address, Settings
from madang.v1 import channel_service_pb2 as pb

from .load import under_load
from .people import Problem, all_here, connect, make_channel, problem_of, send, sign_in
from .process import ServerProcess, eventually, free_port
from .raw import SUBSCRIBE, WATCH, greeting, is_open, open_socket, refused, request
from .test_kill import BROKEN

WITHIN = 10.0
"""Seconds in which the server exits: the promise."""

CUT_OFF = "CANCELLED CANCELLED"
"""How gRPC's core itself answers calls that it has received and not yet handed to the server when that stops."""


async def ending(call: grpc.aio.UnaryStreamCall | grpc.aio.StreamStreamCall) -> Problem:  # type: ignore[type-arg]
    """Read a stream to its end; how it ended."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return problem_of(error)
    return Problem("OK", "")


@pytest.mark.parametrize("rounds", [2])
async def test_under_load(server: ServerProcess, seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    await server.start()
    async with under_load(server.target, seed) as load:
        for _ in range(rounds):
            await load.goes_on()
            await asyncio.sleep(rng.uniform(0, 0.3))  # the random moment
            code, _ = await server.terminate(WITHIN)
            assert code == 0
            await server.start()
        await load.goes_on()
        verdict = await load.settle()
    assert not verdict.findings, str(verdict)
    assert set(load.history.errors) <= BROKEN | {"UNAVAILABLE SERVER_DRAINING", CUT_OFF}
    assert load.history.errors["UNAVAILABLE SERVER_DRAINING"] >= rounds
    assert server.output.count("everything is stored") == rounds
    assert "Traceback" not in server.output


async def test_streams_are_told_when_to_come_back(server: ServerProcess) -> None:
    await server.start()
    async with connect(server.target) as connection:
        mina = await sign_in(connection, "mina")
        channel_id = await make_channel(connection, mina, "kitchen")
        live = connection.messages.Subscribe(pb.SubscribeRequest(), metadata=mina.metadata)
        assert isinstance(await live.read(), pb.SubscribeResponse)
        post = connection.messages.Post(metadata=mina.metadata)
        await post.write(pb.PostRequest(sends=[pb.SendRequest(channel_id=channel_id, text="no request_id")]))
        await post.read()
        await send(connection, mina, channel_id, "the last words")
        code, _ = await server.terminate(WITHIN)
        for end in (await ending(live), await ending(post)):
            assert (end.code, end.reason) == ("UNAVAILABLE", "SERVER_DRAINING")
            assert end.retry_after is not None
            assert end.retry_after > 0
    assert code == 0


async def test_one_that_never_reads_cannot_hold_it_up() -> None:
    """Its stream cannot be told anything; so it is cut off after a while, which leaves time for what comes after."""
    assert Settings().drain <= WITHIN - 2
    server = Server(drain=1.0, limits=None)
    await server.start()
    async with connect(server.target) as connection, connect(server.target) as other:
        mina = await sign_in(connection, "mina")
        channel_id = await make_channel(connection, mina, "kitchen")
        stalled = other.messages.Subscribe(
            pb.SubscribeRequest(positions=[pb.Position(channel_id=channel_id)]), metadata=mina.metadata
        )
        assert isinstance(await stalled.read(), pb.SubscribeResponse)
        for _ in range(10):
            await asyncio.gather(*(send(connection, mina, channel_id, "x" * 16_000) for _ in range(50)))
        await asyncio.wait_for(server.stop(), WITHIN)
        stalled.cancel()


async def test_all_addresses_drain_together() -> None:
    """Else the time for those that never read counts once for each address."""
    heartbeat, channel = Address("127.0.0.1", free_port()), Address("127.0.0.1", free_port())
    server = Server(heartbeat=heartbeat, channel=channel, limits=None)
    await server.start()
    async with connect(server.target) as connection, connect(str(heartbeat)) as other:
        people = [await sign_in(connection, name) for name in ("mina", "nari")]
        with open_socket(heartbeat.port) as watching, open_socket(channel.port) as subscribed:
            watching.sendall(greeting(0) + request(WATCH, people[0].token, b""))
            subscribed.sendall(greeting(0) + request(SUBSCRIBE, people[1].token, b""))
            await eventually(lambda: all_here(other, people), "the streams are open, and stalled")
            stopping = asyncio.create_task(server.stop())
            await eventually(lambda: refused(heartbeat.port) and refused(channel.port), "nobody new is let in")
            assert is_open(watching)
            assert is_open(subscribed), "neither address waits for the other's clients"
        await asyncio.wait_for(stopping, WITHIN)
