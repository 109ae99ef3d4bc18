"""Plain HTTP for machines: `/metrics` for Prometheus, `/ready` for load balancers, `/live` for what restarts processes.

It lives in the event loop of the server, so it answers slowly when the server is slow; that is worth knowing, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from madang.node.listeners import ListenError
from madang.node.settings import Address

PATHS = ("/metrics", "/ready", "/live")

MAX_HEAD = 8 * 1024
"""How long a request may be, bytes."""
PATIENCE = 5.0
"""How long a request, or its answer, may take, seconds."""

_log = logging.getLogger("madang.node")
_PLAIN = "text/plain; charset=utf-8"


class Exporter:
    """Answers one request for each connection. `start`, then `serve`, then `stop`.

    Until `serve` it is alive and not ready: a node that waits for its database, or brings it up to date, is not to be
    restarted for that.
    """

    def __init__(self) -> None:
        self._registry: CollectorRegistry | None = None
        self._is_ready: Callable[[], bool] = lambda: False
        self._server: asyncio.Server | None = None

    def serve(self, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> None:
        """The node serves, and has figures. `is_ready`: whether new clients may be sent here."""
        self._registry = registry
        self._is_ready = is_ready

    async def start(self, address: Address) -> Address:
        """Listen; the address with the port that it really has. Raises ListenError."""
        try:
            self._server = await asyncio.start_server(self._serve, address.host, address.port, limit=MAX_HEAD)
        except OSError as error:
            raise ListenError(address, (error.strerror or str(error)).lower()) from error
        return Address(address.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more. Answers that are under way end by themselves, soon."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(self._try_to_answer(head))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # whoever asks like that gets no answer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _try_to_answer(self, head: str) -> bytes:
        try:
            return self._answer(head)
        except Exception:  # a fault of ours; Prometheus shows that there is one
            _log.exception("the metrics could not be told")
            return _response("500 Internal Server Error", _PLAIN, b"the log of the server has the reason\n", "GET")

    def _answer(self, head: str) -> bytes:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path not in PATHS:
            return _response("404 Not Found", _PLAIN, f"here are {', '.join(PATHS)}\n".encode(), method)
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", _PLAIN, b"GET alone\n", method)
        if path == "/metrics":
            if self._registry is None:
                return _response("503 Service Unavailable", _PLAIN, b"not started\n", method)
            encode, kind = choose_encoder(_header(lines, "accept"))
            return _response("200 OK", kind, encode(self._registry), method)
        if path == "/ready" and not self._is_ready():
            return _response("503 Service Unavailable", _PLAIN, b"not ready\n", method)
        return _response("200 OK", _PLAIN, b"ready\n" if path == "/ready" else b"alive\n", method)


def _header(lines: list[str], name: str) -> str:
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""


def _response(status: str, kind: str, body: bytes, method: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if method == "HEAD" else body)
