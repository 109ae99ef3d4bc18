"""A connection over which nothing comes any more, though nobody has closed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import madang
from madang.client import wires
from madang.client.errors import was_silent

from .conftest import PATIENCE, Restartable, texts, upto


class Wire:
    """Passes bytes on between client and server, until it is cut: then it swallows them."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        """New connections get through again; the old ones stay dead."""
        self._whole = asyncio.Event()
        self._whole.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        self._ends += [writer, back]
        whole = self._whole
        await asyncio.gather(_pump(reader, back, whole), _pump(there, writer, whole))

    def close(self) -> None:
        for end in self._ends:
            end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: asyncio.Event) -> None:
    while data := await reader.read(65536):
        if whole.is_set():
            writer.write(data)
    writer.close()


@asynccontextmanager
async def wire_to(target: str) -> AsyncIterator[tuple[Wire, str]]:
    wire = Wire(target)
    async with await asyncio.start_server(wire.connect, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        yield wire, f"{host}:{port}"
        wire.close()


async def test_keepalive_notices_and_everything_goes_on(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = {"grpc.keepalive_time_ms": 1000, "grpc.keepalive_timeout_ms": 300, "grpc.http2.ping_timeout_ms": 300}
    assert hasty.keys() <= dict(wires._OPTIONS).keys()
    options = {**dict(wires._OPTIONS), **hasty}
    async with (
        madang.connect(server.target, handle="joon", live=False) as joon,
        wire_to(server.target) as (wire, target),
    ):
        monkeypatch.setattr(wires, "_OPTIONS", tuple(options.items()))
        async with madang.connect(target, handle="mina") as mina:
            await _cut_and_mend(wire, mina, joon)


async def test_a_server_that_is_gone_is_not_silent(server: Restartable) -> None:
    async with madang.connect(server.target) as mina:
        await server.stop()
        lost: list[madang.MadangError] = []
        while not (lost and isinstance(lost[-1], madang.ServerUnreachable)):
            event = (await upto(mina, madang.Disconnected))[-1]
            assert isinstance(event, madang.Disconnected)
            lost.append(event.error)
        assert not any(map(was_silent, lost)), lost
        await server.start()


async def _cut_and_mend(wire: Wire, mina: madang.Client, joon: madang.Client) -> None:
    await mina.send("lobby", "one")
    wire.cut()
    outgoing = mina.post("lobby", "two")
    lost = (await upto(mina, madang.Disconnected))[-1]
    assert isinstance(lost, madang.Disconnected)
    assert isinstance(lost.error, madang.ServerUnreachable)
    assert was_silent(lost.error)
    assert not mina.online
    await joon.send("lobby", "meanwhile")
    wire.mend()
    await asyncio.wait_for(outgoing.stored(), PATIENCE)
    assert await texts(mina, 2) == ["meanwhile", "two"]
