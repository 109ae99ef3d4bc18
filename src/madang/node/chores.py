"""The long-lived tasks of a node: what is done once, and what is done now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from madang.core.errors import MadangError
from madang.core.outages import Outage

_log = logging.getLogger("madang.node")


async def once(action: Callable[[], Awaitable[None]]) -> None:
    """Do something that was left over. What fails is logged, and tried again at the next start."""
    try:
        await action()
    except MadangError as error:
        _log.warning("left over: %s", error.in_full)


async def every(interval: float, action: Callable[[], Awaitable[None]]) -> None:
    """Do something now and then. What fails is logged, though not every time, and tried again at its time."""
    name = getattr(action, "__name__", "housekeeping").strip("_").replace("_", " ")
    outage = Outage()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(interval)
        try:
            await action()
        except Exception as error:
            for_how_long = outage.failed(loop.time())
            if for_how_long is not None and isinstance(error, MadangError):
                _log.warning("the chore %r fails%s: %s", name, for_how_long, error.in_full)
            elif for_how_long is not None:
                _log.exception("the chore %r fails%s", name, for_how_long)
        else:
            failed_for = outage.worked(loop.time())
            if failed_for is not None:
                _log.warning("the chore %r works again; it failed %s", name, failed_for)


async def finish(task: asyncio.Task[None]) -> None:
    """Wait for a task that ends by itself."""
    await task


async def cancel(task: asyncio.Task[None]) -> None:
    """End a task."""
    task.cancel()
    await asyncio.wait([task])
