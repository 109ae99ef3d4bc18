"""A TCP proxy that can stop forwarding without closing anything, as a cable that was pulled does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards connections on `target` to another port of this machine. An async context manager."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._host, self._port = host, int(port)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._forwarding = asyncio.Event()
        self._forwarding.set()

    @property
    def target(self) -> str:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def freeze(self) -> None:
        """Forward nothing more on the connections that there are; they stay open at both ends."""
        self._forwarding.clear()

    def replace(self) -> None:
        """Break the frozen connections towards the clients, and forward new ones again. The server learns nothing."""
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        for client in self._clients:
            client.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._clients.add(writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink, self._forwarding))
            self._pumps.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, forwarding: asyncio.Event) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    await forwarding.wait()
                    sink.write(data)
                    await sink.drain()
            await forwarding.wait()
        finally:
            sink.transport.abort()
