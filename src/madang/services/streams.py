"""The open streams of each session: what has to end when a session does, or when the server shuts down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from madang.bus.base import Bus
from madang.core.errors import MadangError, SessionRevoked
from madang.core.events import SessionEnded

End = Callable[[MadangError], None]
"""Ends a stream with an error; does not wait."""


TICK = 0.02
"""How often streams are told to go, while they are handed over, seconds."""


class Streams:
    """Every stream of this process, by its session."""

    def __init__(self, bus: Bus) -> None:
        self._open: dict[int, list[End]] = {}
        self._draining: MadangError | None = None
        bus.subscribe(SessionEnded, self._on_session_ended)

    @contextmanager
    def open(self, session_id: int, end: End) -> Iterator[None]:
        """While this lasts, `end` is called when the session ends. Raises what the server drains with, if it does."""
        if self._draining is not None:
            raise self._draining
        ends = self._open.setdefault(session_id, [])
        ends.append(end)
        try:
            yield
        finally:
            ends.remove(end)
            if not ends:
                self._open.pop(session_id, None)

    def __len__(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._open.values()))

    def sessions(self) -> list[int]:
        """The ids of the sessions that have a stream open."""
        return list(self._open)

    async def hand_over(self, error: MadangError, seconds: float) -> None:
        """End every stream, one after the other, evenly over the time and in an order of chance; refuse new ones.

        So those who come to the other nodes come as a trickle.
        """
        self._draining = error
        waiting = [(session_id, end) for session_id, ends in self._open.items() for end in ends]
        random.shuffle(waiting)
        loop = asyncio.get_running_loop()
        began, told = loop.time(), 0
        while told < len(waiting):
            await asyncio.sleep(max(TICK, seconds / len(waiting)))
            due = min(len(waiting), int(len(waiting) * (loop.time() - began) / seconds) if seconds else len(waiting))
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

    def _on_session_ended(self, event: SessionEnded) -> None:
        for end in list(self._open.get(event.session_id, ())):
            end(SessionRevoked())
