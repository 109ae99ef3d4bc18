"""How a stream ends when its session does: soon, whether its client reads or not."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType

from madang.core.errors import MadangError
from madang.services.streams import End, Streams

PATIENCE = 0.5
"""How long a stream may take to end by itself, seconds. One whose client does not read waits in a write for ever."""


class ending(AbstractContextManager[None]):  # noqa: N801 - reads as the verb that it is, after `with`
    """Around the body of a stream, in the task that serves it: raises what the stream is ended with.

    `end` asks the body to end by itself; when it has not after PATIENCE, it is cut off where it waits.
    A class, not a generator: every open stream has one, all the time.
    """

    __slots__ = ("_cut", "_end", "_ended", "_open", "_task")

    def __init__(self, streams: Streams, session_id: int, end: End) -> None:
        """For a stream of this session."""
        self._end = end
        self._task = asyncio.current_task()
        self._cut: asyncio.TimerHandle | None = None
        self._ended: MadangError | None = None
        self._open = streams.open(session_id, self._finish)

    def __enter__(self) -> None:
        self._open.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cut is not None:
            self._cut.cancel()
        self._open.__exit__(kind, error, trace)
        if isinstance(error, asyncio.CancelledError) and self._ended is not None and self._task is not None:
            self._task.uncancel()
            raise self._ended from None

    def _finish(self, error: MadangError) -> None:
        self._ended = error
        self._end(error)
        if self._task is not None and self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(PATIENCE, self._task.cancel)
