"""A real server, a connection to it, and the people and channels of most tests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from madang.node import node
from madang.node.embed import Server

from .calls import Caller, connect, sign_in


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A server that nobody has used yet."""
    async with Server(drain=0.5, limits=None) as running:
        yield running
        monkeypatch.setattr(node, "HAND_OVER", 0.0)  # nobody listens any more to how its streams end


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to it."""
    async with connect(server.target) as connected:
        yield connected


@pytest.fixture
async def nobody(channel: grpc.aio.Channel) -> Caller:
    """Someone who has not signed in."""
    return Caller(channel)


@pytest.fixture
async def mina(channel: grpc.aio.Channel) -> Caller:
    """Someone."""
    return await sign_in(channel, "mina")


@pytest.fixture
async def nari(channel: grpc.aio.Channel) -> Caller:
    """Someone else."""
    return await sign_in(channel, "nari")


@pytest.fixture
async def kitchen(mina: Caller) -> int:
    """A channel of mina's, in which she is alone."""
    channel_id: int = (await mina.call("CreateChannel", name="kitchen", topic="food")).channel.channel_id
    return channel_id


@pytest.fixture
async def shared(kitchen: int, nari: Caller) -> int:
    """The same, with nari in it."""
    await nari.call("JoinChannel", channel_id=kitchen)
    return kitchen


@pytest.fixture(autouse=True)
def nothing_goes_wrong_in_silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the server logs as an error fails the test."""
    yield
    records = [record for record in caplog.get_records("call") if record.name.startswith("madang")]
    assert [record.getMessage() for record in records if record.levelno >= logging.ERROR] == []
