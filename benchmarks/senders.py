"""How messages are sent: over Post, as the SDK does it, and over unary Send for comparison."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks.messages import MessageReader, varint
from benchmarks.people import SEND, Person
from madang.v1.channel_service_pb2 import PostResponse
from madang.v1.resources_pb2 import Message

BODY = 100
"""Bytes of a message's text."""
LIST = 200
"""Messages in a list at most."""
WINDOW = 1000
"""Messages of a sender at full speed that are not acknowledged yet, at most."""

_TICK = 0.001  # seconds; what is due within it goes out together
_now = time.perf_counter


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message that is on disk: its place, and when it was sent and acknowledged (seconds, performance counter)."""

    channel_id: int
    sequence: int
    sent: float
    acknowledged: float


class Encoder:
    """Encodes a sender's SendRequests by hand; all have the same size, so that only text and request_id change.

    The text says the sender's number and a count from 0: a reader can tell whether anything is missing.
    """

    def __init__(self, channel_id: int, sender: int) -> None:
        self._head = b"\x08" + varint(channel_id) + b"\x12" + varint(BODY)
        self._sender = sender
        self._counter = count()

    def next(self) -> tuple[bytes, str]:
        """The next request, and its request_id: a UUID of version 7, as the SDK's are."""
        bits = f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(80):020x}"
        request_id = f"{bits[:8]}-{bits[8:12]}-7{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"
        text = f"{self._sender} {next(self._counter)} ".ljust(BODY, "=")
        return self._head + text.encode() + b"\x1a\x24" + request_id.encode(), request_id


class ContentCheck:
    """Says whether a message is the very next one of its sender, whole."""

    def __init__(self, senders: Sequence[int]) -> None:
        """`senders`: the user_id of each sender, by its number."""
        self._senders = senders
        self._next: dict[str, int] = {}

    def __call__(self, message: Message) -> bool:
        """Check one."""
        sender, number, filler = message.text.split(" ")
        expected = self._next.setdefault(sender, int(number))
        self._next[sender] = expected + 1
        whole = len(message.text) == BODY and filler.strip("=") == ""
        return whole and int(number) == expected and message.author_id == self._senders[int(sender)]


class Sender(MessageReader):
    """Sends to one channel over one Post stream, as the SDK does: what gathers while a write is in flight is one list.

    `send()` sends one message. `run(window)` sends at full speed with `window` messages not yet acknowledged, until
    `stop()`. `receipts` has what is on disk, `refused` counts what was refused.
    """

    def __init__(self, person: Person, channel_id: int, number: int) -> None:
        super().__init__()
        self.person = person
        self.receipts: list[Receipt] = []
        self.lists = 0
        self.refused = 0
        self.refusal = ""
        self._encoder = Encoder(channel_id, number)
        self._outbox: deque[float] = deque()  # when each was sent, as far as its sender knows
        self._waiting: deque[tuple[str, float]] = deque()
        self._window = 0
        self._woken = False
        self._loop = asyncio.get_running_loop()
        self._call = person.post(self)
        self._call.on_drained = self._wake

    @property
    def idle(self) -> bool:
        """Whether everything is answered. Raises CallError when the stream has ended."""
        if self._call.ended.done():
            self._call.ended.result()
            raise AssertionError("the server ended a Post stream")
        return not self._waiting and not self._outbox

    def send(self, at: float | None = None) -> None:
        """Send a message; `at` (performance counter) is when it was due, now by default."""
        self._outbox.append(_now() if at is None else at)
        self._wake()

    def run(self, window: int = WINDOW) -> None:
        """Send at full speed."""
        self._window = window
        self._wake()

    def stop(self) -> None:
        """Send no more; what is on the way still arrives."""
        self._window = 0

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._woken = False
        while not self._call.writing:
            now = _now()
            fresh = min(LIST, self._window - len(self._waiting)) - len(self._outbox)
            self._outbox.extend([now] * fresh)
            size = min(LIST, len(self._outbox))
            if not size:
                return
            self.lists += 1
            self._call.write(b"".join([self._next() for _ in range(size)]))

    def _next(self) -> bytes:
        request, request_id = self._encoder.next()
        self._waiting.append((request_id, self._outbox.popleft()))
        return b"\x0a" + varint(len(request)) + request

    def message(self, message: bytes) -> None:
        """Take a list of answers; they come in the order in which their messages were sent."""
        now = _now()
        for result in PostResponse.FromString(message).results:
            request_id, sent = self._waiting.popleft()
            if result.request_id != request_id:
                raise AssertionError("an answer came out of order")
            if result.HasField("stored"):
                stored = result.stored
                self.receipts.append(Receipt(stored.channel_id, stored.sequence, sent, now))
            else:
                self.refused += 1
                self.refusal = result.error.message
        if self._window:
            self._wake()


async def send_one_by_one(person: Person, channel_id: int, number: int, until: float) -> list[float]:
    """Send over unary Send, one after the other, until then (performance counter); gives the seconds each took."""
    encoder = Encoder(channel_id, number)
    took = []
    while (began := _now()) < until:
        request, _ = encoder.next()
        await person.ask_raw(SEND, request)
        took.append(_now() - began)
    return took


async def offer(send: Callable[[int, float], None], rate: float, seconds: float) -> None:
    """Open loop: call `send(number, due)` `rate` times a second, evenly spaced, whether or not anything comes back."""
    begin = _now()
    total = int(rate * seconds)
    number = 0
    while number < total:
        passed = _now() - begin
        due = min(total, int(passed * rate) + 1)
        for now_due in range(number, due):
            send(now_due, begin + now_due / rate)
        number = due
        await asyncio.sleep(max(_TICK, begin + number / rate - _now()))


def refusals(senders: Sequence[Sender]) -> list[str]:
    """What was refused, in words; empty when everything was stored."""
    refused = sum(sender.refused for sender in senders)
    return [f"{refused} refused: {next(s.refusal for s in senders if s.refused)}"] if refused else []
