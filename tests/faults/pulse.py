"""When a client got on: how new what it has is, and how long it had to wait at most."""

from __future__ import annotations

import time
from collections import deque
from itertools import pairwise

KEPT = 20_000
"""How many moments are remembered: minutes of them."""
APART = 0.01
"""Seconds; what happens sooner after the last moment belongs to it."""


class Pulse:
    """Of one client."""

    def __init__(self) -> None:
        self.newest = 0.0
        """When the newest message of which it knows that it is stored was begun."""
        self._beats: deque[float] = deque([time.monotonic()], KEPT)

    def beat(self, begun: float) -> None:
        """It was told that a message is stored that was begun then."""
        self.newest = max(self.newest, begun)
        now = time.monotonic()
        if now - self._beats[-1] > APART:
            self._beats.append(now)

    def longest_pause(self, since: float) -> float:
        """The longest time without a beat that ended, or goes on, after `since`; seconds."""
        moments = [*self._beats, time.monotonic()]
        return max(later - former for former, later in pairwise(moments) if later > since)
