"""What readers need that rings do not hold any more: pages from the store, one at a time, with a rest between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from madang.core.models import Changes
from madang.services.ring import Ring
from madang.wire.batches import encode_batch, encode_segment

HISTORY_REST = 1.5
"""After a page, no other is read for this many times as long as it took: catching up is the work of many pages, and
must not be felt by those who talk."""
LONGEST_REST = 0.5
"""Nor for longer than this, seconds: a page that took long has waited for something, more than it has worked."""

_log = logging.getLogger("madang.services")

Read = Callable[[int, int, int | None], Awaitable[Changes]]
"""Reads what follows a position in a channel, but not beyond where a ring begins; None: as far as a page goes."""


class Pages:
    """Reads pages for cursors; those at one position share one."""

    def __init__(self, rings: Mapping[int, Ring], read: Read) -> None:
        """`rings`: of the channels that are watched, by channel_id."""
        self.loaded = 0
        """How many pages were read."""
        self._rings = rings
        self._read = read
        self._loads: dict[tuple[int, int], asyncio.Task[tuple[bytes, int]]] = {}
        self._turn = asyncio.Semaphore()

    async def load(self, channel_id: int, position: int) -> tuple[bytes, int]:
        """What follows the position as one batch, and through where it reaches. Raises what reading raises."""
        key = (channel_id, position)
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._load(channel_id, position))
            task.add_done_callback(partial(self._done, key))
        return await asyncio.shield(task)

    async def _load(self, channel_id: int, position: int) -> tuple[bytes, int]:
        await self._turn.acquire()
        self.loaded += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        rest = 0.0  # what failed was no work
        try:
            ring = self._rings.get(channel_id)
            until = None if ring is None else ring.boundary(position)
            told = 0 if ring is None else ring.head
            changes = await self._read(channel_id, position, until)
            if ring is not None and changes.through == position and ring.head == told > position:
                # A change is told after its commit, so this one never was: or everybody would ask for it for ever.
                _log.warning("channel %d ends at %d, and not at %d, as was told", channel_id, position, told)
                ring.retreat(position)
            segment = encode_segment(changes.messages)
            rest = min((loop.time() - began) * HISTORY_REST, LONGEST_REST)
        finally:
            loop.call_later(rest, self._turn.release)
        return encode_batch(channel_id, changes.after, changes.through, [segment]), changes.through

    def _done(self, key: tuple[int, int], task: asyncio.Task[tuple[bytes, int]]) -> None:
        del self._loads[key]
        if not task.cancelled():
            task.exception()  # whoever still waits for the page gets it too; nobody may
