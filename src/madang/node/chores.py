"""The long-lived tasks of a node: what is done once, and what is done now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from madang.core.errors import MadangError

_log = logging.getLogger("madang.node")


async def once(action: Callable[[], Awaitable[None]]) -> None:
    """Do something that was left over. What fails is logged, and tried again at the next start."""
    try:
        await action()
    except MadangError as error:
        _log.warning("left over: %s", error)


async def every(interval: float, action: Callable[[], Awaitable[None]]) -> None:
    """Do something now and then. What fails is logged, and tried again at its time."""
    name = getattr(action, "__name__", "housekeeping")
    while True:
        await asyncio.sleep(interval)
        try:
            await action()
        except MadangError as error:
            _log.warning("%s: %s", name, error)
        except Exception:
            _log.exception("%s failed", name)


async def finish(task: asyncio.Task[None]) -> None:
    """Wait for a task that ends by itself."""
    await task


async def cancel(task: asyncio.Task[None]) -> None:
    """End a task."""
    task.cancel()
    await asyncio.wait([task])
