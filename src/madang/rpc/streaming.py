"""How a stream ends when its session does: soon, whether its client reads or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from madang.core.errors import MadangError
from madang.services.streams import End, Streams

PATIENCE = 0.5
"""How long a stream may take to end by itself, seconds. One whose client does not read waits in a write for ever."""


@contextmanager
def ending(streams: Streams, session_id: int, end: End) -> Iterator[None]:
    """Around the body of a stream, in the task that serves it: raises what the stream is ended with.

    `end` asks the body to end by itself; when it has not after PATIENCE, it is cut off where it waits.
    """
    task = asyncio.current_task()
    cut: asyncio.TimerHandle | None = None
    ended: MadangError | None = None

    def finish(error: MadangError) -> None:
        nonlocal cut, ended
        ended = error
        end(error)
        if task is not None and cut is None:
            cut = asyncio.get_running_loop().call_later(PATIENCE, task.cancel)

    with streams.open(session_id, finish):
        try:
            yield
        except asyncio.CancelledError:
            if ended is None or task is None:
                raise
            task.uncancel()
            raise ended from None
        finally:
            if cut is not None:
                cut.cancel()
