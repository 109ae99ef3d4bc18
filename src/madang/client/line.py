"""Whether the server can be reached, as this client's streams see it; and the keeping open of a stream."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from math import inf

from madang.client.backoff import SHORT_LIMIT, Backoff
from madang.client.transport import Transport
from madang.core.errors import (
    Internal,
    MadangError,
    ResourceExhausted,
    ServerDraining,
    ServerUnreachable,
    StorageUnavailable,
    Unavailable,
)

STEADY = 5.0
"""A stream that lived for so many seconds was no failure: after it, the waits begin anew."""

SPREAD = 0.3
"""Over how many seconds those spread who lose a node together."""

Lost = Callable[[MadangError, float], None]
"""Is told of a lost stream, and in how many seconds the next try is."""


class Line:
    """What the streams of one client know of each other: who gets through first tells the others to stop waiting."""

    def __init__(self) -> None:
        self.online = False
        self._up = asyncio.Event()

    def up(self) -> None:
        """The server answered."""
        if self.online:
            return
        self.online = True
        self._up.set()
        self._up = asyncio.Event()

    def down(self) -> None:
        """The server cannot be reached."""
        self.online = False

    async def rest(self, seconds: float, error: MadangError) -> None:
        """Wait before the next try, or until the server answers another stream; a limit is waited out."""
        if isinstance(error, ResourceExhausted):
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._up.wait()


async def keep_open(stream: Callable[[], Awaitable[None]], transport: Transport, line: Line, lost: Lost) -> None:
    """Run a stream, and again whenever it breaks, for ever. Raises what another try would not change."""
    backoff = Backoff()
    while True:
        began, visit = time.monotonic(), transport.visit
        try:
            await stream()
        except (Unavailable, ResourceExhausted, Internal) as error:
            if time.monotonic() - began > STEADY:
                backoff.reset()
            delay = await next_try(transport, visit, error, backoff)
            lost(error, delay)
            await line.rest(delay, error)


async def next_try(transport: Transport, visit: int, error: MadangError, backoff: Backoff) -> float:
    """What to do about a failure: go to another node where there is one; in how many seconds to try again.

    `visit`: the transport's, before it was tried. The first try elsewhere is made at once.
    """
    first = backoff.is_fresh
    is_short = transport.are_several and isinstance(error, Unavailable)
    delay = backoff.next(error.retry_after, SHORT_LIMIT if is_short else inf)
    # All nodes share the database, so that a store which is away is hardly better elsewhere: one look, and no more, for
    # each move takes the connection from under the streams that are well.
    leaves = isinstance(error, ServerUnreachable | ServerDraining) or (first and isinstance(error, StorageUnavailable))
    if not (transport.are_several and leaves):
        return delay
    if not isinstance(error, ServerDraining):  # a node that goes sends them away one by one
        await asyncio.sleep(random.uniform(0, SPREAD))  # all who were there may come now
    elif error.nodes:
        transport.told(error.nodes)
    if not await transport.elsewhere(visit, error):
        return delay
    return 0.0 if first else max(0.0, delay - (error.retry_after or 0.0))
