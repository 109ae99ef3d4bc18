"""A TCP proxy for one link, and what can go wrong with a link: it breaks, refuses, is slow, is narrow, carries nothing.

What it does to a link it does at the level of TCP: nothing that was taken is lost or reordered while the connection
lives. A link that carries nothing (`Flow.stop`) and then goes on is what a network looks like that lost packets for a
while; one that carries nothing in one direction only is how an answer is lost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import Self

CHUNK = 65536


class Flow:
    """One direction of a link."""

    def __init__(self) -> None:
        self.delay = 0.0
        """Seconds that everything takes longer."""
        self.rate = inf
        """Bytes a second at most."""
        self._open = asyncio.Event()
        self._open.set()

    def stop(self) -> None:
        """Carry nothing more, and keep what there is."""
        self._open.clear()

    def calm(self) -> None:
        """Carry everything at once again."""
        self.delay, self.rate = 0.0, inf
        self._open.set()

    async def carry(self, size: int) -> None:
        """Wait for as long as so many bytes need to get through."""
        await self._open.wait()
        if self.delay or self.rate < inf:
            await asyncio.sleep(self.delay + size / self.rate)
            await self._open.wait()


class Proxy:
    """Forwards connections on `target` to another port of this machine. An async context manager."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._host, self._port = host, int(port)
        self._listening = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._servers: set[asyncio.StreamWriter] = set()
        self.hides_the_end = False
        """Whether a connection that one side has closed stays open for the other, as when that is lost on the way."""
        self.up = Flow()
        """From the clients to the server; replaced by `replace`."""
        self.down = Flow()
        """From the server to the clients; replaced by `replace`."""

    @property
    def target(self) -> str:
        """Where it listens."""
        host, port = self._listening
        return f"{host}:{port}"

    @property
    def port(self) -> int:
        """The port of `target`."""
        return self._listening[1]

    def freeze(self) -> None:
        """Forward nothing more, in neither direction; every connection stays open at both ends."""
        self.up.stop()
        self.down.stop()

    def calm(self) -> None:
        """Forward everything at once again, also what was kept back."""
        self.up.calm()
        self.down.calm()

    def replace(self) -> None:
        """Break the frozen connections towards the clients, and forward new ones again. The server learns nothing."""
        self.up, self.down = Flow(), Flow()
        for client in self._clients:
            client.transport.abort()

    def cut(self) -> None:
        """Break all connections, towards both ends; what was kept back is lost. New ones are as they were."""
        for writer in (*self._clients, *self._servers):
            writer.transport.abort()
        for pump in self._pumps:  # one that waits for its turn does not see that its connection is gone
            pump.cancel()

    async def refuse(self) -> None:
        """Break all connections, and let no new one in."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def listen(self) -> None:
        """Let connections in, where they came in before."""
        self._server = await asyncio.start_server(self._connected, *self._listening)
        self._listening = self._server.sockets[0].getsockname()[:2]

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = self.up, self.down
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._clients.add(writer)
        self._servers.add(far_writer)
        for source, sink, flow in ((reader, far_writer, up), (far_reader, writer, down)):
            task = asyncio.create_task(self._pump(source, sink, flow))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flow: Flow) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(CHUNK):
                    await flow.carry(len(data))
                    sink.write(data)
                    await sink.drain()
            await flow.carry(0)
            if self.hides_the_end:
                return
            sink.close()  # with what is still on its way in it
        except asyncio.CancelledError:
            sink.transport.abort()
            raise
        finally:
            if sink.is_closing():
                self._clients.discard(sink)
                self._servers.discard(sink)
