"""A message on its way out, and the receipt that ends the way."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from enum import Enum
from typing import NamedTuple

from madang.core.errors import InvalidField, MadangError


class SendState(Enum):
    """Where a message is on its way out."""

    SENDING = "sending"
    """In the outbox: not stored yet, as far as this client knows. It is sent again until there is a verdict."""
    STORED = "stored"
    """On the server's disk. The receipt says where."""
    FAILED = "failed"
    """Refused, and out of the outbox. The error says why."""


class Receipt(NamedTuple):
    """Where and when (microseconds since the epoch, UTC) a message was stored."""

    channel_id: int
    sequence: int
    created_at: int
    request_id: str


class Outgoing:
    """A message that was handed to the client. Read only; the client moves it on."""

    __slots__ = (
        "_ended",
        "_waiters",
        "channel_id",
        "channel_name",
        "error",
        "receipt",
        "request_id",
        "size",
        "state",
        "text",
    )

    def __init__(self, request_id: str, channel: int | str, text: str) -> None:
        """`channel`: an id, or a name that is yet to be looked up."""
        self.request_id = request_id
        """The UUID that makes the message be stored once, however often it is sent."""
        self.channel_id = channel if isinstance(channel, int) else 0
        """The channel; 0 until its name was looked up."""
        self.channel_name = "" if isinstance(channel, int) else channel
        """The channel's name, where it was posted by name."""
        self.text = text
        """The words."""
        self.size = _size(text)
        """The words' length in bytes of UTF-8; -1 when they are not Unicode."""
        self.state = SendState.SENDING
        """Where it is on its way."""
        self.receipt: Receipt | None = None
        """Where it was stored; None until then."""
        self.error: MadangError | None = None
        """Why it FAILED; None otherwise."""
        self._ended: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Outgoing {self.request_id} {self.state.value}>"

    async def stored(self) -> Receipt:
        """Wait until the message is stored.

        Raises the MadangError of a refusal; and what ended the client, when that comes first (SessionRevoked, say, or
        ClientClosed): the message is still in the outbox then, if that is on disk.
        """
        while self.receipt is None:
            if (error := self.error or self._ended) is not None:
                raise error
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self.receipt

    def _settle(self, receipt: Receipt) -> None:
        self.state = SendState.STORED
        self.receipt = receipt
        self._wake()

    def _fail(self, error: MadangError) -> None:
        self.state = SendState.FAILED
        self.error = error
        self._wake()

    def _end(self, error: Exception) -> None:
        """Nobody carries it any further in this process."""
        self._ended = error
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()


def new_request_id() -> str:
    """A UUID of version 7 (RFC 9562): ordered by time, which keeps the server's index of them compact."""
    now = time.time_ns() // 1_000_000
    raw = (now << 80 | int.from_bytes(os.urandom(10))) & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    digits = f"{raw:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def usual_request_id(text: str) -> str:
    """The usual form of a caller's UUID. Raises InvalidField when it is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidField(field="request_id", rule="must be a UUID") from None


def _size(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return -1
