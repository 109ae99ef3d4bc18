"""What strangers do to the port: floods, silence, and more of everything. Others must not notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from support import PATIENCE, eventually

from benchmarks import http2
from benchmarks.connection import CallError, Connection
from benchmarks.messages import MessageReader
from madang.core.models import LOBBY_ID
from madang.node import listeners
from madang.node.embed import Server
from madang.node.listeners import MAX_METADATA_BYTES, ListenError
from madang.v1 import agent_service_pb2 as agent
from madang.v1 import channel_service_pb2 as pb

from .calls import Caller, connect, sign_in

GET_SERVER = "/madang.v1.AgentService/GetServer"
SUBSCRIBE = "/madang.v1.ChannelService/Subscribe"
PING = http2.frame(http2.PING, 0, 0, bytes(8))


class Ignored(MessageReader):
    """Takes what comes."""

    def message(self, message: bytes) -> None:
        """Nothing is done with it."""


@pytest.fixture
async def stranger(server: Server) -> AsyncIterator[Connection]:
    """A raw connection."""
    host, port = server.target.split(":")
    async with await Connection.open(host, int(port)) as connection:
        yield connection


def token_of(caller: Caller) -> str:
    """The token that a caller's calls carry."""
    return str(dict(caller.metadata)["authorization"]).removeprefix("Bearer ")


async def test_ping_flood(stranger: Connection, mina: Caller) -> None:
    """Cut off, while somebody else's stream, open all the time, goes on."""
    live = mina.stream("Subscribe")
    await live.read()
    await _flood(stranger)
    said = await mina.say(LOBBY_ID, "hello")
    assert said
    response = await live.read()
    assert [message.text for batch in response.batches for message in batch.messages] == ["hello"]
    live.call.cancel()


async def test_ping_flood_with_an_open_stream(stranger: Connection, mina: Caller) -> None:
    """One that has signed in may do it no more than others."""
    call = stranger.call(SUBSCRIBE, Ignored(), token_of(mina))
    call.write(pb.SubscribeRequest().SerializeToString(), last=True)
    await eventually(lambda: call.answered, "the stream has begun")
    await _flood(stranger)
    with pytest.raises(CallError):
        await call.ended
    assert (await mina.call("GetMe")).user.handle == "mina"


async def _flood(connection: Connection) -> None:
    """Ping until the server has enough."""
    sent = 0
    async with asyncio.timeout(PATIENCE):
        while not connection.closed:
            connection._write(PING)
            sent += 1
            await asyncio.sleep(0.001)
    assert sent > listeners.MAX_PING_STRIKES


async def test_pings_at_the_pace_that_is_allowed(stranger: Connection) -> None:
    """As many as may come too soon are forgiven: a client that pings now and then is no flood."""
    for _ in range(listeners.MAX_PING_STRIKES):
        stranger._write(PING)
    await stranger.unary(GET_SERVER, agent.GetServerRequest().SerializeToString())
    assert not stranger.closed


async def test_more_streams_than_one_connection_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MAX_STREAMS_PER_CONNECTION", 3)
    async with Server(drain=0.2) as small, connect(small.target) as channel:
        token = token_of(await sign_in(channel, "mina"))
        host, port = small.target.split(":")
        async with await Connection.open(host, int(port)) as connection:
            await connection.unary(GET_SERVER, b"")  # its settings have come by now
            calls = [connection.call(SUBSCRIBE, Ignored(), token) for _ in range(4)]
            for call in calls:
                call.write(b"", last=True)
            with pytest.raises(CallError, match="reset"):
                await calls[3].ended
            await eventually(lambda: all(call.answered for call in calls[:3]), "the first three have begun")


@pytest.mark.parametrize("hello", [b"", http2.PREFACE[:10], b"\x16\x03\x01"])
async def test_silence(monkeypatch: pytest.MonkeyPatch, hello: bytes) -> None:
    """Whoever does not say what it wants is not waited for."""
    monkeypatch.setattr(listeners, "HANDSHAKE_SECONDS", 0.3)
    async with Server(drain=0.2) as server:
        assert await _read_to_the_end(server, hello) is not None


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(1000), http2.PREFACE + b"\xff" * 4000, b"\r\n" * 500]
)
async def test_noise(server: Server, mina: Caller, noise: bytes) -> None:
    answer = await _read_to_the_end(server, noise)
    assert b"Traceback" not in answer
    assert b"madang/" not in answer
    assert (await mina.call("GetMe")).user.handle == "mina"


async def _read_to_the_end(server: Server, begin: bytes) -> bytes:
    """Say this, and read until the server closes the connection."""
    host, port = server.target.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(begin)
        async with asyncio.timeout(PATIENCE):
            try:
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.close()


@pytest.mark.parametrize("sign", [lambda mina: (), lambda mina: mina.metadata], ids=["nobody", "mina"])
async def test_metadata(nobody: Caller, mina: Caller, sign: Callable[[Caller], tuple[tuple[str, str], ...]]) -> None:
    """The largest is what the limit says, signed in or not; nothing of what is beyond it reaches a servicer."""
    nobody.metadata = (*sign(mina), ("x-large", "x" * (MAX_METADATA_BYTES // 2)))
    await nobody.call("GetServer")
    for size in (MAX_METADATA_BYTES, 4 * MAX_METADATA_BYTES, 100 * MAX_METADATA_BYTES):
        nobody.metadata = (*sign(mina), ("x-large", "x" * size))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await nobody.call("GetServer")
        assert refused.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    assert (await mina.call("GetMe")).user.handle == "mina"


async def test_second_server_on_the_port(server: Server) -> None:
    with pytest.raises(ListenError, match="in use"):
        async with Server(listen=server.target):
            pass
    host, port = server.target.split(":")
    with socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            shared.bind((host, int(port)))
