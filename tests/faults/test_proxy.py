"""The proxy that stands for a network: what it does to a link is what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from .process import PATIENCE
from .proxy import Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
MOMENT = 0.2
"""Seconds after which what has not come is not on its way."""


@pytest.fixture
async def link() -> AsyncIterator[Proxy]:
    """In front of a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy("{}:{}".format(*server.sockets[0].getsockname())) as proxy:
        yield proxy
    server.close()


@asynccontextmanager
async def connected(link: Proxy) -> AsyncIterator[Streams]:
    """A connection through it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def says(streams: Streams, data: bytes) -> float:
    """Have it sent back; how long that took."""
    reader, writer = streams
    begin = time.monotonic()
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), PATIENCE) == data
    return time.monotonic() - begin


async def is_broken(streams: Streams) -> bool:
    """Whether the connection ends, without another byte."""
    try:
        return await asyncio.wait_for(streams[0].read(1), PATIENCE) == b""
    except ConnectionError:
        return True


async def is_silent(streams: Streams) -> bool:
    """Whether nothing comes, and the connection stays."""
    with suppress(TimeoutError):
        await asyncio.wait_for(streams[0].read(1), MOMENT)
        return False
    return True


async def test_forwards(link: Proxy) -> None:
    async with connected(link) as first, connected(link) as second:
        await says(first, b"one")
        await says(second, b"x" * 1_000_000)


async def test_is_slow(link: Proxy) -> None:
    async with connected(link) as streams:
        link.up.delay = link.down.delay = 0.1
        assert await says(streams, b"one") >= 0.2
        link.calm()
        await says(streams, b"two")


async def test_is_narrow(link: Proxy) -> None:
    async with connected(link) as streams:
        link.up.rate = 100_000
        assert await says(streams, b"x" * 30_000) >= 0.29


@pytest.mark.parametrize("way", ["up", "down", "both"])
async def test_carries_nothing_and_then_everything(link: Proxy, way: str) -> None:
    async with connected(link) as streams:
        await says(streams, b"before")
        if way == "both":
            link.freeze()
        else:
            (link.up if way == "up" else link.down).stop()
        streams[1].write(b"meanwhile")
        assert await is_silent(streams)
        link.calm()
        assert await asyncio.wait_for(streams[0].readexactly(9), PATIENCE) == b"meanwhile"
        await says(streams, b"after")


async def test_is_cut(link: Proxy) -> None:
    async with connected(link) as first, connected(link) as second:
        await says(first, b"one")
        await says(second, b"one")
        link.freeze()
        first[1].write(b"lost")
        assert await is_silent(first)
        link.cut()
        link.calm()
        assert await is_broken(first)
        assert await is_broken(second)
    async with connected(link) as third:
        await says(third, b"two")


async def test_refuses_and_listens_again_where_it_was(link: Proxy) -> None:
    async with connected(link) as streams:
        await says(streams, b"one")
        where = link.target
        await link.refuse()
        assert await is_broken(streams)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", link.port)
    await link.listen()
    assert link.target == where
    async with connected(link) as streams:
        await says(streams, b"two")


async def test_nobody_is_there() -> None:
    async with Proxy("127.0.0.1:1") as proxy, connected(proxy) as streams:
        assert await is_broken(streams)
