"""Garbage on the port, connections that say nothing, and ten thousand of them: the server goes on serving."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

from madang.v1 import channel_service_pb2 as pb

from .people import Connection, Person, connect, make_channel, send, sign_in
from .process import ServerProcess, eventually
from .raw import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GET_SERVER,
    HEADERS,
    RST_STREAM,
    SUBSCRIBE,
    connections,
    frame,
    greeting,
    headers,
    many_files,
    request,
    reset,
)
from .readers import Call

WANTED = 10_000
SPARE = 500
"""Descriptors that are left for everything else."""

CHUNK = 500
"""How many are opened at once."""

EACH = 20
SLACK = 10
"""Descriptors by which the server may differ from before: its readers' threads open files when they are first used."""

noise = random.Random(1)

GARBAGE = {
    "nothing": b"",
    "noise": noise.randbytes(65536),
    "http1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + noise.randbytes(200),
    "half-preface": greeting()[:10],
    "only-preface": greeting(),
    "noise-after-preface": greeting() + noise.randbytes(65536),
    "half-frame": greeting() + frame(HEADERS, END_HEADERS, 1, headers(GET_SERVER, ""))[:20],
    "frame-too-long": greeting() + b"\xff\xff\xff" + frame(DATA, 0, 1)[3:] + bytes(65536),
    "broken-headers": greeting() + frame(HEADERS, END_HEADERS, 1, noise.randbytes(500)),
    "endless-headers": greeting()
    + frame(HEADERS, 0, 1, headers(GET_SERVER, ""))
    + frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 4000) * 60,
    "rapid-reset": greeting()
    + b"".join(
        frame(HEADERS, END_HEADERS, stream, headers(SUBSCRIBE, "x"))
        + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
        for stream in range(1, 2001, 2)
    ),
    "endless-message": greeting()
    + frame(HEADERS, END_HEADERS, 1, headers(GET_SERVER, ""))
    + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + bytes(16000)),
    "not-protobuf": greeting() + request(GET_SERVER, "", noise.randbytes(300)),
    "no-such-method": greeting() + request("/madang.v1.AgentService/Nonsense", "", b""),
    "no-such-token": greeting() + request(SUBSCRIBE, "nonsense", b""),
}


class Talk:
    """Two people and a channel: what has to go on whatever else happens on the port."""

    def __init__(self, connection: Connection, mina: Person, channel_id: int, live: Call) -> None:
        self._connection = connection
        self._mina = mina
        self._channel_id = channel_id
        self._live = live

    async def goes_on(self) -> None:
        """Somebody sends, and the open stream tells of it."""
        await self._hears(await send(self._connection, self._mina, self._channel_id, "do you hear me?"))

    async def is_open_to_all(self, target: str) -> None:
        """It goes on, and somebody new comes in over a new connection, which can be sent over too."""
        await self.goes_on()
        async with connect(target) as connection:
            await sign_in(connection, "nari")
            await self._hears(await send(connection, self._mina, self._channel_id, "and over there?"))

    async def _hears(self, sequence: int) -> None:
        heard = 0
        while heard < sequence:
            response = await asyncio.wait_for(self._live.read(), 20)
            assert isinstance(response, pb.SubscribeResponse)
            heard = max((batch.through for batch in response.batches), default=heard)


@asynccontextmanager
async def talk(target: str) -> AsyncIterator[Talk]:
    """The talk, begun."""
    async with connect(target) as connection:
        mina = await sign_in(connection, "mina")
        channel_id = await make_channel(connection, mina, "kitchen")
        live = connection.messages.Subscribe(pb.SubscribeRequest(), metadata=mina.metadata)
        assert isinstance(await live.read(), pb.SubscribeResponse)
        yield Talk(connection, mina, channel_id, live)


async def test_garbage(server: ServerProcess) -> None:
    await server.start()
    async with talk(server.target) as going:
        await going.is_open_to_all(server.target)
        files = server.open_files()
        for name, garbage in GARBAGE.items():
            with connections(server.port, EACH) as sockets:
                for made in sockets:
                    with suppress(ConnectionError):  # it may be refused halfway
                        made.sendall(garbage)
                for made in sockets[::2]:
                    reset(made)
                try:
                    await going.is_open_to_all(server.target)
                except Exception as error:
                    raise AssertionError(f"it stopped serving after {name}") from error
        await eventually(lambda: server.open_files() <= files + SLACK, "the connections are let go of")
        await going.is_open_to_all(server.target)
    assert "Traceback" not in server.output


async def test_ten_thousand_connections(server: ServerProcess) -> None:
    """Every other one says nothing at all, the others that they speak HTTP/2."""
    await server.start()
    with many_files() as limit:
        count = min(WANTED, limit - SPARE) // CHUNK * CHUNK
        print(f"{count} connections")
        async with talk(server.target) as going:
            await going.is_open_to_all(server.target)
            files = server.open_files()
            with ExitStack() as stack:
                for opened in range(CHUNK, count + 1, CHUNK):  # fewer than what waits to be accepted, by default
                    sockets = stack.enter_context(connections(server.port, CHUNK))
                    for made in sockets[::2]:
                        made.sendall(greeting())
                    await eventually(
                        lambda total=opened: server.open_files() >= files + total - SLACK,  # type: ignore[misc]
                        f"{opened} of {count} connections are open",
                    )
                await going.is_open_to_all(server.target)
            await eventually(lambda: server.open_files() <= files + SLACK, f"{count} connections are let go of")
            await going.is_open_to_all(server.target)
    assert "Traceback" not in server.output


async def test_more_connections_than_files(server: ServerProcess) -> None:
    """Those that it has go on; when some leave, new ones can come."""
    server.most_files = most = 300
    await server.start()
    async with talk(server.target) as going:
        await going.is_open_to_all(server.target)
        with connections(server.port, 600) as sockets:
            for made in sockets:
                made.sendall(greeting())
            await eventually(lambda: server.open_files() >= most - SLACK, "no descriptor is left")
            await going.goes_on()
        await eventually(server.serves, "new connections are taken again")
        await going.is_open_to_all(server.target)
