"""Stands in for HAProxy where there is none: a TCP balancer that does what deploy/compose/haproxy.cfg asks for.

`haproxy.py` runs the real one, and chooses.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

CHECK_EVERY = 0.1


class Backend(NamedTuple):
    """A node: its name in the file, where it serves, and where it is asked whether it is ready; both `host:port`."""

    name: str
    serves: str
    check: str


def servers(config: Path) -> list[str]:
    """The names of the servers in HAProxy's file."""
    return re.findall(r"^\s*server (\S+) ", config.read_text(), re.MULTILINE)


class Balancer:
    """Sends each new connection to the node with the fewest, of those whose /ready says 200. A context manager."""

    def __init__(self, backends: list[Backend]) -> None:
        self._backends = backends
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: Counter[str] = Counter()
        self.ready: set[str] = set()
        """The names of the nodes that new connections go to."""

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _check(self) -> None:
        while True:
            for backend in self._backends:
                status = b""
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        host, _, port = backend.check.rpartition(":")
                        reader, writer = await asyncio.open_connection(host, int(port))
                        writer.write(b"GET /ready HTTP/1.0\r\n\r\n")
                        status = await reader.readline()
                        writer.close()
                (self.ready.add if b" 200 " in status else self.ready.discard)(backend.name)
            await asyncio.sleep(CHECK_EVERY)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [backend for backend in self._backends if backend.name in self.ready]
        for backend in sorted(ready, key=lambda each: self._open[each.name]):
            host, _, port = backend.serves.rpartition(":")
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
                break
        else:
            writer.close()
            return
        self._open[backend.name] += 1
        pumps = [asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))]
        self._tasks.update(pumps)
        await asyncio.wait(pumps)
        self._tasks.difference_update(pumps)
        self._open[backend.name] -= 1

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._tasks.add(asyncio.create_task(self._check()))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
    finally:
        sink.transport.abort()
