"""Who comes and goes, as the lobby's status streams tell it. Pure but for the event that wakes a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from madang.core.errors import MadangError
from madang.core.presence import Presence, Status


class StatusFeed:
    """One status stream: whoever came (True) or went (False) and was not told yet. Bounded: one entry for each user."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._news: dict[int, bool] = {}
        self._ended: MadangError | None = None
        self._stirred = asyncio.Event()

    def note(self, index: int, came: bool) -> None:
        """Somebody came or went. Who came and went again before it was told is not told at all; nor is the user."""
        if index == self._index:
            return
        if self._news.pop(index, came) is came:
            self._news[index] = came
        self._stirred.set()

    def end(self, error: MadangError) -> None:
        """End the stream: `next` raises the error."""
        self._ended = error
        self._stirred.set()

    async def next(self, timeout: float) -> dict[int, bool]:
        """What is new, as soon as there is something; nothing after the timeout, seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._stirred.wait()
        except TimeoutError:
            return {}
        if self._ended is not None:
            raise self._ended
        self._stirred.clear()
        news, self._news = self._news, {}
        return news


class Comings:
    """Turns presence into comings and goings, and hands them to every feed."""

    def __init__(self) -> None:
        self._here: set[int] = set()
        self._feeds: set[StatusFeed] = set()

    def open(self, index: int) -> StatusFeed:
        """A feed for a user's stream, of what happens from now on."""
        feed = StatusFeed(index)
        self._feeds.add(feed)
        return feed

    def close(self, feed: StatusFeed) -> None:
        """The feed is read no more."""
        self._feeds.discard(feed)

    def note(self, presences: Iterable[Presence]) -> None:
        """These changed. Between online and away nobody comes or goes."""
        for presence in presences:
            came = presence.status is not Status.OFFLINE
            if came is (presence.user_id in self._here):
                continue
            (self._here.add if came else self._here.discard)(presence.user_id)
            for feed in self._feeds:
                feed.note(presence.user_id, came)
