"""Whether the server can be reached, as this client's streams see it; and the keeping open of a stream."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from madang.client.backoff import Backoff
from madang.core.errors import Internal, MadangError, ResourceExhausted, Unavailable

STEADY = 5.0
"""A stream that lived for so many seconds was no failure: after it, the waits begin anew."""

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


async def keep_open(stream: Callable[[], Awaitable[None]], line: Line, lost: Lost) -> None:
    """Run a stream, and again whenever it breaks, for ever. Raises what another try would not change."""
    backoff = Backoff()
    while True:
        began = time.monotonic()
        try:
            await stream()
        except (Unavailable, ResourceExhausted, Internal) as error:
            if time.monotonic() - began > STEADY:
                backoff.reset()
            delay = backoff.next(error.retry_after)
            lost(error, delay)
            await line.rest(delay, error)
