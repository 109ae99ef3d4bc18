"""A channel's latest segments, kept once for all of its readers. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from madang.core.positions import Position, Verdict
from madang.wire.batches import encode_batch

MAX_RING_BYTES = 8 * 1024 * 1024
MAX_BATCH_BYTES = 1024 * 1024
"""What a reader takes at once has to be more than what can come in while all of a crowd take something; or else, in a
storm, everyone falls behind, off the ring, and into the store."""
MAX_JOINED = 4
"""For how many positions the joined bytes are kept: nearly all readers stand at one or two."""


class Ring:
    """Contiguous segments `(floor, head]`. A reader whose position is not the beginning of one has to ask the store."""

    def __init__(self, channel_id: int, head: int, max_bytes: int = MAX_RING_BYTES) -> None:
        self.channel_id = channel_id
        self._head = Position(head)
        self._max_bytes = max_bytes
        self._afters: list[int] = []
        self._throughs: list[int] = []
        self._segments: list[bytes] = []
        self._size = 0
        self._joined: dict[int, tuple[bytes, int]] = {}
        self._old = 0

    @property
    def head(self) -> int:
        """Through which sequence the ring knows the channel."""
        return self._head.sequence

    def append(self, after: int, through: int, segment: bytes) -> bool:
        """Take news; says whether it was news. A gap empties the ring: what lies before it is in the store."""
        verdict = self._head.take(after, through)
        if verdict is Verdict.IGNORE:
            return False
        if verdict is Verdict.GAP:
            self._clear(through)
            return True
        if through == after:
            return False
        self._afters.append(after)
        self._throughs.append(through)
        self._segments.append(segment)
        self._size += len(segment)
        self._joined.clear()
        self._trim()
        return True

    def advance(self, head: int) -> bool:
        """The store's head is known to be here; says whether that is news."""
        if head <= self.head:
            return False
        self._clear(head)
        return True

    def retreat(self, head: int) -> None:
        """What was told of the channel is not so: it reaches no further than this."""
        self._clear(head)

    def batch(self, position: int) -> tuple[bytes, int] | None:
        """What follows the position, encoded, and through where it reaches; None when the ring does not reach back.

        Readers at the same position get the same bytes object.
        """
        found = self._joined.get(position)
        if found is None:
            start = bisect_left(self._afters, position)
            if start == len(self._afters) or self._afters[start] != position:
                return None
            if len(self._joined) >= MAX_JOINED:
                self._joined.clear()
            found = self._joined[position] = self._join(start)
        return found

    def boundary(self, position: int) -> int:
        """The first sequence beyond the position from which the ring can be read, or its head."""
        if not self._afters or position < self._afters[0]:
            return self._afters[0] if self._afters else self.head
        return self._throughs[bisect_right(self._throughs, position)] if position < self.head else self.head

    def forget_old(self) -> None:
        """Drop what was there already when this was last called."""
        self._drop(self._old)
        self._old = len(self._segments)

    def forget(self) -> None:
        """Drop everything: what is stored is not what it was. Whoever is behind asks the store."""
        self._drop(len(self._segments))

    def _join(self, start: int) -> tuple[bytes, int]:
        size, end = 0, start
        while end < len(self._segments) and (end == start or size + len(self._segments[end]) <= MAX_BATCH_BYTES):
            size += len(self._segments[end])
            end += 1
        through = self._throughs[end - 1]
        return encode_batch(self.channel_id, self._afters[start], through, self._segments[start:end]), through

    def _trim(self) -> None:
        """Drop the oldest half once there is too much: dropping in bulk is cheap, one by one is not."""
        if self._size > self._max_bytes:
            size, count = self._size, 0
            while size > self._max_bytes // 2 and count < len(self._segments) - 1:
                size -= len(self._segments[count])
                count += 1
            self._drop(count)

    def _drop(self, count: int) -> None:
        self._size -= sum(map(len, self._segments[:count]))
        del self._afters[:count], self._throughs[:count], self._segments[:count]
        self._old = max(0, self._old - count)
        self._joined.clear()

    def _clear(self, head: int) -> None:
        self._drop(len(self._segments))
        self._head = Position(head)
