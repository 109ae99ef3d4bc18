"""How the fan-out takes turns, pure.

Waking a crowd of n readers costs the server about n writes. If readers wrote whenever they can, the fan-out would
starve the intake, and batches would stay small. So after a channel's n readers were woken, the fan-out rests n ×
`rest`, and what arrives meanwhile leaves as one larger batch. Channels with news wait for their turn in the order in
which the news came; the first message after a quiet moment leaves at once. A turn never waits longer than the rests of
the channels before it.

Rests are counted on a clock of their own that may lag the real one by `slack`: timers tick in milliseconds, and a room
of five rests a quarter of one.
"""

from __future__ import annotations

from collections import deque


class Turns:
    """Whose turn it is. Times are seconds of any one clock."""

    def __init__(self, rest: float, slack: float = 0.005) -> None:
        """`rest`: seconds of rest for each reader that was woken. `slack`: seconds of rest that may be owed."""
        self._rest = rest
        self._slack = slack
        self._free_at = 0.0
        self._waiting: deque[int] = deque()
        self._queued: set[int] = set()

    def ask(self, channel_id: int) -> None:
        """The channel has news. Asking again while it waits changes nothing."""
        if channel_id not in self._queued:
            self._queued.add(channel_id)
            self._waiting.append(channel_id)

    def next(self, now: float) -> int | None:
        """The channel whose turn it is; None when nobody waits or the fan-out rests."""
        if not self._waiting or now < self._free_at:
            return None
        channel_id = self._waiting.popleft()
        self._queued.discard(channel_id)
        return channel_id

    def woke(self, readers: int, now: float) -> None:
        """So many readers were woken just now."""
        self._free_at = max(self._free_at, now - self._slack) + readers * self._rest

    def due_at(self) -> float | None:
        """When `next` will have an answer; None when nobody waits."""
        return self._free_at if self._waiting else None
