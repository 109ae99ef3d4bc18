"""What deploy/compose/haproxy.cfg has to see to, asked of HAProxy itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from faults.process import eventually
from parts.ports import free_port

from .balancer import Backend
from .haproxy import HaProxy, program

FOUND = program()

pytestmark = pytest.mark.skipif(FOUND is None, reason="no haproxy here")


READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Says(asyncio.Protocol):
    """Says something to everybody who comes, and stays until they go."""

    def __init__(self, what: bytes, there: set[_Says]) -> None:
        """`there`: has it as long as it stays."""
        self._what = what
        self._there = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._there.add(self)
        transport.write(self._what)

    def connection_lost(self, error: Exception | None) -> None:
        self._there.remove(self)


@asynccontextmanager
async def says(what: bytes) -> AsyncIterator[str]:
    """A server; where it listens."""
    there: set[_Says] = set()
    server = await asyncio.get_running_loop().create_server(lambda: _Says(what, there), "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await eventually(lambda: not there, "all have gone")


async def test_who_a_dead_node_does_not_take_is_taken_by_another() -> None:
    """Until the balancer has found out it leads everybody to the dead one: that has the fewest connections."""
    async with says(b"hello\n") as lives, says(READY) as check, AsyncExitStack() as stack:
        backends = [Backend("dead", f"127.0.0.1:{free_port()}", check), Backend("alive", lives, check)]
        before = await stack.enter_async_context(HaProxy(str(FOUND), backends))
        await eventually(lambda: before.ready == {"dead", "alive"}, "both are said to be ready")
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", before.port)
            stack.callback(writer.close)
            assert await reader.readline() == b"hello\n"
        assert before.ready == {"dead", "alive"}, "it has not found out"


async def test_what_it_said_is_shown_when_it_does_not_start(tmp_path: Path) -> None:
    broken = tmp_path / "haproxy"
    broken.write_text("#!/bin/sh\necho 'cannot raise FD limit' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(AssertionError, match="cannot raise FD limit"):
        async with HaProxy(str(broken), []):
            pass
