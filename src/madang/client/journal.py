"""The one writer of the store: gathers what changes while the last commit runs, and commits it together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from madang.client.store import Changes, Place, Post, Store

_LOG = logging.getLogger("madang.client")

DELAY = 0.05
"""For how many seconds verdicts and positions gather before they are written. A crash in between only makes messages be
sent again, which stores none twice, and events come again. New messages don't wait."""

Written = Callable[[Sequence[Post], OSError | None], None]
"""Is told which messages are on disk now, or why they are not."""


class Journal:
    """Gathers changes; `run` commits them."""

    def __init__(self, store: Store, written: Written) -> None:
        self._store = store
        self._written = written
        self._added: list[Post] = []
        self._removed: list[str] = []
        self._positions: dict[int, Place | None] = {}
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._stopped = False

    def add(self, post: Post) -> None:
        """A message for the outbox; `written` tells when it is on disk."""
        self._added.append(post)
        self._wake.set()
        self._urgent.set()

    def remove(self, request_id: str) -> None:
        """A message that has its verdict."""
        self._removed.append(request_id)
        self._wake.set()

    def move(self, channel_id: int, place: Place | None) -> None:
        """The reader's position; None when the channel is no longer read."""
        self._positions[channel_id] = place
        self._wake.set()

    def stop(self) -> None:
        """Let `run` commit what there is, and return."""
        self._stopped = True
        self._wake.set()
        self._urgent.set()

    async def run(self) -> None:
        """Commit until stopped. Never cancelled: a commit that runs is seen through."""
        stopped = False
        while not stopped:
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DELAY):
                    await self._urgent.wait()
            self._wake.clear()
            self._urgent.clear()
            stopped = self._stopped
            await self._flush()

    async def _flush(self) -> None:
        changes = Changes(self._added, self._removed, self._positions)
        self._added, self._removed, self._positions = [], [], {}
        try:
            await self._store.commit(changes)
        except OSError as error:
            _LOG.warning("%s", error)
            self._removed = [*changes.removed, *self._removed]
            self._positions = {**changes.positions, **self._positions}
            self._written(changes.added, error)
        else:
            self._written(changes.added, None)
