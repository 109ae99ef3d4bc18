"""What the sets of calls of a client share: the way to the server, and what is known of its answers."""

from __future__ import annotations

import time

from google.protobuf.timestamp_pb2 import Timestamp

from madang.client.directory import Directory
from madang.client.transport import Transport
from madang.wire.values import set_time


class Calls:
    """A set of calls. The client is made of several; each stands in a module of its own, by subject."""

    def __init__(self, transport: Transport, directory: Directory) -> None:
        self._transport = transport
        self._directory = directory


def from_now(seconds: float | None) -> Timestamp | None:
    """The moment that is so many seconds away, by this computer's clock; None for never."""
    if seconds is None:
        return None
    stamp = Timestamp()
    set_time(stamp, time.time_ns() // 1000 + int(seconds * 1_000_000))
    return stamp
