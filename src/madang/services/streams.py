"""The open streams of each session: what has to end when a session does, or when the server shuts down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager

from madang.bus.base import Bus
from madang.core.errors import MadangError, SessionRevoked
from madang.core.events import SessionEnded

End = Callable[[MadangError], None]
"""Ends a stream with an error; does not wait."""


TICK = 0.02
"""How often streams are told to go, while they are handed over, seconds."""


def due_by(count: int, elapsed: float, seconds: float) -> int:
    """How many of so many streams have been told to go, when they go evenly over the time."""
    return count if elapsed >= seconds else int(count * elapsed / seconds)


class Streams:
    """Every stream of this process, by its session."""

    def __init__(self, bus: Bus) -> None:
        self._open: dict[int, list[End]] = {}
        self._ending: dict[int, list[End]] = {}  # those that were told of their session's end
        self._draining: MadangError | None = None
        bus.subscribe(SessionEnded, self._on_session_ended)

    def open(self, session_id: int, end: End) -> AbstractContextManager[None]:
        """While this lasts, `end` is called when the session ends. Entering it raises what the server drains with, if
        it does.
        """
        return _Open(self, session_id, end)

    @property
    def count(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._open.values())) + sum(map(len, self._ending.values()))

    def sessions(self) -> list[int]:
        """The ids of the sessions that have a stream open, which was not told to end."""
        return list(self._open)

    def has(self, session_id: int) -> bool:
        """Whether the session has a stream open, which was not told to end."""
        return session_id in self._open

    async def hand_over(self, error: MadangError, seconds: float) -> None:
        """End every stream as `send_away` does, and refuse new ones."""
        self._draining = error
        await self.send_away(error, seconds)

    async def send_away(self, error: MadangError, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """End every stream that is open now, one after the other, evenly over the time and in an order of chance.

        So those who come to the other nodes come as a trickle. `until`: when the rest may stay.
        """
        waiting = [(session_id, end) for session_id, ends in self._open.items() for end in ends]
        random.shuffle(waiting)
        loop = asyncio.get_running_loop()
        began, told = loop.time(), 0
        while told < len(waiting) and not until():
            await asyncio.sleep(max(TICK, seconds / len(waiting)))
            due = due_by(len(waiting), loop.time() - began, seconds)
            for session_id, end in waiting[told:due]:
                if end in self._open.get(session_id, ()):
                    end(error)
            told = due

    def drain(self, error: MadangError) -> None:
        """End every stream, and refuse new ones."""
        self._draining = error
        for ends in list(self._open.values()):
            for end in list(ends):
                end(error)

    def add(self, session_id: int, end: End) -> None:
        """See `open`."""
        if self._draining is not None:
            raise self._draining
        self._open.setdefault(session_id, []).append(end)

    def remove(self, session_id: int, end: End) -> None:
        """It is open no more."""
        streams = self._ending if end in self._ending.get(session_id, ()) else self._open
        ends = streams[session_id]
        ends.remove(end)
        if not ends:
            del streams[session_id]

    def _on_session_ended(self, event: SessionEnded) -> None:
        ends = self._open.pop(event.session_id, [])
        if ends:
            self._ending.setdefault(event.session_id, []).extend(ends)
        for end in ends:
            end(SessionRevoked())


class _Open(AbstractContextManager[None]):
    """A class, not a generator: every open stream has one, all the time."""

    __slots__ = ("_end", "_session_id", "_streams")

    def __init__(self, streams: Streams, session_id: int, end: End) -> None:
        self._streams = streams
        self._session_id = session_id
        self._end = end

    def __enter__(self) -> None:
        self._streams.add(self._session_id, self._end)

    def __exit__(self, *_: object) -> None:
        self._streams.remove(self._session_id, self._end)
