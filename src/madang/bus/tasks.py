"""Tasks that use nats-py, and how they end.

A cancellation that comes together with an answer of NATS can get lost in nats-py (and in `asyncio.wait_for` up to
Python 3.11, on which it is built): the task goes on. So whoever ends such a task has to ask until it has ended, and
nobody else's task should wait for NATS itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_ASK_AGAIN = 0.05


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait until it has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_ASK_AGAIN)


class Apart:
    """Runs what waits for NATS in tasks of their own, so that whoever waits for the result can be cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, action: Coroutine[Any, Any, T]) -> T:
        """The action's result, or what it raises."""
        task = asyncio.create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End what is still under way."""
        for task in list(self._tasks):
            await end(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it too; nobody may
