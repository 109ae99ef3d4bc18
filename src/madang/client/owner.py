"""The one task of a client that owns all its others: nothing runs on when it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from madang.client.journal import Journal

Run = Callable[[], Awaitable[None]]


class Owner:
    """Runs the streams of a client until one of them raises, and its journal until the client is closed."""

    def __init__(self, journal: Journal, ended: Callable[[Exception], None]) -> None:
        """`ended` is told why the streams have ended, if it is not because of `stop`."""
        self._journal = journal
        self._ended = ended
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, runs: Sequence[Run]) -> None:
        """Run them all."""
        self._task = asyncio.create_task(self._own(runs), name="madang client")

    async def stop(self) -> None:
        """End everything; the journal writes what it has first."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _own(self, runs: Sequence[Run]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._guard([self._journal.run]))
            streams = group.create_task(self._guard(runs))
            await self._stopping.wait()
            streams.cancel()
            await asyncio.wait([streams])
            self._journal.stop()

    async def _guard(self, runs: Sequence[Run]) -> None:
        """Run until one raises; that is what ends the client."""
        try:
            async with asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(_call(run))
        except* Exception as errors:
            self._ended(_first(errors))


async def _call(run: Run) -> None:
    await run()


def _first(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
