"""The open streams of each session: what has to end when a session does, or when the server shuts down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from madang.bus.base import Bus
from madang.core.errors import MadangError, SessionRevoked
from madang.core.events import SessionEnded

End = Callable[[MadangError], None]
"""Ends a stream with an error; does not wait."""


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

    def sessions(self) -> list[int]:
        """The ids of the sessions that have a stream open."""
        return list(self._open)

    def drain(self, error: MadangError) -> None:
        """End every stream, and refuse new ones."""
        self._draining = error
        for ends in list(self._open.values()):
            for end in list(ends):
                end(error)

    def _on_session_ended(self, event: SessionEnded) -> None:
        for end in list(self._open.get(event.session_id, ())):
            end(SessionRevoked())
