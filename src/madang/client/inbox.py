"""Between the streams and the one who reads `client.events()`: bounded, and in order.

What comes from the server waits at the door when the reader is slow, so that its stream is not read any further. What
happens in this process (Disconnected, Sent, the change of a user that was found out late) never waits: the oldest of
it is dropped when nobody reads.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from madang.client.events import Event
from madang.client.store import Place

ROOM = 2
"""How many responses of the server wait for the reader at most."""
NOTICES = 1000
"""How many notices of this process wait for the reader at most."""


class Item(NamedTuple):
    """An event, and where it brings the reader: to `place` in channel `channel_id`, or out of it (None); 0: nowhere."""

    event: Event | None
    channel_id: int = 0
    place: Place | None = None


class Inbox:
    """Many put in, one takes out. An item's position counts when the reader comes back for the next one."""

    def __init__(self, moved: Callable[[int, Place | None], None]) -> None:
        """`moved` is told the channel and the place of every item that the reader has dealt with."""
        self._moved = moved
        self._lane: deque[deque[Item] | Event] = deque()
        self._current: deque[Item] = deque()
        self._taken: Item | None = None
        self._responses = 0
        self._ended: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._waiting = False
        self._reader: weakref.ref[Events] | None = None

    async def put(self, items: deque[Item]) -> None:
        """Hand over what one response brought; waits for room first."""
        if not items:
            return
        while self._responses >= ROOM:
            self._room.clear()
            await self._room.wait()
        self._responses += 1
        self._lane.append(items)
        self._news.set()

    def push(self, notice: Event) -> None:
        """Hand over what happened in this process; never waits."""
        if self._ended is not None:
            return
        if len(self._lane) - self._responses >= NOTICES:
            oldest = next(place for place, entry in enumerate(self._lane) if not isinstance(entry, deque))
            del self._lane[oldest]
        self._lane.append(notice)
        self._news.set()

    def end(self, error: Exception) -> None:
        """Nothing more comes: after what is here, the reader gets `error`."""
        if self._ended is None:
            self._ended = error
            self._news.set()

    def close(self) -> None:
        """The reader gets no more, not even what is here."""
        self._lane.clear()
        self._current.clear()
        self._ended = StopAsyncIteration()
        self._news.set()

    def events(self) -> Events:
        """A reader. Only one at a time may read."""
        return Events(self)

    def admit(self, reader: Events) -> None:
        """Let a reader read. Raises RuntimeError while another one that did is still there."""
        holder = self._reader() if self._reader is not None else None
        if holder is not None and holder is not reader:
            raise RuntimeError("another consumer reads this client's events; close it first")
        self._reader = weakref.ref(reader)

    def release(self, reader: Events) -> None:
        """Let others read."""
        if self._reader is not None and self._reader() is reader:
            self._reader = None

    async def next(self) -> Event:
        """The next event; the one before it is dealt with. Raises what `end` was given, when there is no more."""
        if self._taken is not None:
            self._settle(self._taken)
        while True:
            while self._current:
                item = self._current.popleft()
                if item.event is not None:
                    self._taken = item
                    return item.event
                self._settle(item)
            if not self._lane:
                await self._wait()
            elif isinstance(entry := self._lane.popleft(), deque):
                self._current = entry
                self._responses -= 1
                self._room.set()
            else:
                return entry

    def _settle(self, item: Item) -> None:
        self._taken = None
        if item.channel_id:
            self._moved(item.channel_id, item.place)

    async def _wait(self) -> None:
        if self._ended is not None:
            self._reader = None
            raise self._ended
        if self._waiting:
            raise RuntimeError("another task waits for the next event already")
        self._waiting = True
        try:
            self._news.clear()
            await self._news.wait()
        finally:
            self._waiting = False


class Events(AsyncIterator[Event]):
    """What `client.events()` gives. A wait that is cancelled loses nothing: the next one goes on where it was."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def __anext__(self) -> Event:
        self._inbox.admit(self)
        return await self._inbox.next()

    async def aclose(self) -> None:
        """Let another consumer read."""
        self._inbox.release(self)
