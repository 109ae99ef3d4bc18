"""What readers do with their live stream. None may lose, double or reorder anything: each notes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from benchmarks.connection import Call
from benchmarks.messages import BatchWalker, MessageReader
from madang.v1.channel_service_pb2 import SubscribeResponse
from madang.v1.resources_pb2 import Message


class Follower:
    """Follows the ranges of its channels by the rule of positions.

    `positions` says through which sequence it has everything, by channel; it is empty until the stream is open. `gaps`
    counts ranges that did not begin at the position, so that what lies between was lost; `repeats` those that were
    there before; `faults` messages that are not what they should be.
    """

    def __init__(self) -> None:
        super().__init__()
        self.call: Call | None = None
        self.positions: dict[int, int] = {}
        self.batches = 0
        self.gaps = 0
        self.repeats = 0
        self.faults = 0

    def follow(self, channel_id: int, after: int, through: int) -> bool:
        """Take the range `(after, through]`; whether it applies."""
        self.batches += 1
        position = self.positions[channel_id]
        if after == position:
            self.positions[channel_id] = through
            return True
        if through <= position:
            self.repeats += 1
        else:
            self.gaps += 1
        return False

    def open(self, response: SubscribeResponse) -> None:
        """Begin at the positions of the channels that a response opens. A reset has no place here."""
        if response.resets:
            raise AssertionError("the server reset a position")
        for opened in response.opened:
            self.positions[opened.channel.channel_id] = opened.position

    def check(self) -> None:
        """Raise what ended the stream, if anything did."""
        if self.call is not None and self.call.ended.done():
            self.call.ended.result()
            raise AssertionError("the server ended a live stream")


class Reader(Follower, BatchWalker):
    """The cheap one: reads no message."""

    def batch(self, channel_id: int, after: int, through: int) -> None:
        """Follow."""
        self.follow(channel_id, after, through)

    def field(self, encoded: bytes) -> None:
        """Take the rest of a response: channels that open."""
        self.open(SubscribeResponse.FromString(encoded))


class TimedReader(Reader):
    """Notes when each range came: `arrivals` has (channel, after, through, seconds on the performance counter)."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals: list[tuple[int, int, int, float]] = []

    def batch(self, channel_id: int, after: int, through: int) -> None:
        """Note the time first."""
        self.arrivals.append((channel_id, after, through, time.perf_counter()))
        self.follow(channel_id, after, through)


class CarefulReader(Follower, MessageReader):
    """Reads every message and checks it: sequence without hole, once, in order, and with `check(message)`."""

    def __init__(self, check: Callable[[Message], bool]) -> None:
        super().__init__()
        self._check = check

    def message(self, message: bytes) -> None:
        """Check a response."""
        response = SubscribeResponse.FromString(message)
        self.open(response)
        for batch in response.batches:
            if not self.follow(batch.channel_id, batch.after, batch.through):
                continue
            sequences = [each.sequence for each in batch.messages]
            self.faults += sequences != list(range(batch.after + 1, batch.through + 1))
            self.faults += sum(not self._check(each) for each in batch.messages)


def troubles(readers: Iterable[Follower], heads: dict[int, int]) -> list[str]:
    """What readers lost, doubled or misread, in words; empty when each has everything in its channels, once.

    `heads` is the last sequence of each channel.
    """
    found = []
    for number, reader in enumerate(readers):
        missing = sum(max(0, heads.get(channel, 0) - position) for channel, position in reader.positions.items())
        if missing or reader.gaps or reader.repeats or reader.faults:
            found.append(
                f"reader {number}: {missing} missing, {reader.gaps} gaps, {reader.repeats} repeats, "
                f"{reader.faults} faults"
            )
    return found
