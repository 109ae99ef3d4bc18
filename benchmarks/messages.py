"""gRPC's messages in a stream's bytes (length-prefixed, never compressed), and the quick look into SubscribeResponse.

Pure: pieces of DATA in, messages or ranges out.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod

_PREFIX = struct.Struct(">BI")
_VARINT = 0x7F
_MORE = 0x80

# Tags: field number << 3 | wire type.
_NUMBER = 0  # the wire type of numbers, beside lengths the only one in this contract
_BATCHES = 3 << 3 | 2
_CHANNEL_ID, _AFTER, _THROUGH = 1 << 3, 2 << 3, 3 << 3

# A batch's tag and length, then up to three tagged varints: nothing of it is longer than this.
_HEAD_BYTES = 48


class MessageError(Exception):
    """The bytes are not what the contract says."""


def prefixed(message: bytes) -> bytes:
    """A gRPC message as it goes into DATA: flag, length, bytes."""
    return _PREFIX.pack(0, len(message)) + message


def varint(value: int) -> bytes:
    """A protobuf varint; `value` is not negative."""
    encoded = bytearray()
    while value >= _MORE:
        encoded.append(_MORE | value & _VARINT)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """The varint at `at`, and where it ends. Raises IndexError when it is cut off."""
    value = data[at]
    at += 1
    if value < _MORE:
        return value, at
    value &= _VARINT
    shift = 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & _VARINT) << shift
        if byte < _MORE:
            return value, at
        shift += 7


class MessageReader(ABC):
    """Puts the messages of a stream together; for whoever wants them whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: memoryview) -> None:
        """Take a piece of the stream's DATA."""
        self._buffer += piece
        at, end = 0, len(self._buffer)
        while end - at >= _PREFIX.size:
            compressed, size = _PREFIX.unpack_from(self._buffer, at)
            if compressed:
                raise MessageError("a compressed message")
            if end - at < _PREFIX.size + size:
                break
            at += _PREFIX.size
            self.message(bytes(self._buffer[at : at + size]))
            at += size
        del self._buffer[:at]

    @abstractmethod
    def message(self, message: bytes) -> None:
        """A message is complete."""


class BatchWalker(ABC):
    """Walks a stream of SubscribeResponse and looks only at the head of each batch: channel, after, through.

    The messages in the batches are skipped unread, so that the cost is per batch and per read of the socket, whatever
    they hold. The other fields are handed on whole, tag and length included: each is by itself the encoding of a
    SubscribeResponse that has just this field.
    """

    def __init__(self) -> None:
        self._skip = 0  # bytes of the batch under way that are still to come
        self._left = 0  # bytes of the message under way that are still to come, those of `_skip` not counted
        self._rest = b""  # the beginning of something that is to be looked at and has not come whole

    def feed(self, piece: memoryview) -> None:
        """Take a piece of the stream's DATA."""
        if self._rest:
            piece = memoryview(self._rest + bytes(piece))
            self._rest = b""
        at, end = self._skip, len(piece)
        if at >= end:
            self._skip -= end
            return
        self._skip = 0
        while at < end:
            if not self._left:
                if end - at < _PREFIX.size:
                    break
                compressed, self._left = _PREFIX.unpack_from(piece, at)
                if compressed:
                    raise MessageError("a compressed message")
                at += _PREFIX.size
                continue
            if end - at < _HEAD_BYTES and end - at < self._left:
                break
            size = self._field(piece, at)
            if not size:
                break
            self._left -= size
            at += size
        if at > end:
            self._skip = at - end
        else:
            self._rest = bytes(piece[at:])

    def _field(self, piece: memoryview, at: int) -> int:
        """Look at the field at `at`; gives its size with tag and length, or 0 when more of it has to come first."""
        size, start = read_varint(piece, at + 1)
        if piece[at] & 7 == _NUMBER:
            size = 0  # the value itself was read
        total = start - at + size
        if total > self._left:
            raise MessageError("a field that is longer than its message")
        if piece[at] == _BATCHES:
            self._head(piece, start)
        elif total > len(piece) - at:
            return 0
        else:
            self.field(bytes(piece[at : at + total]))
        return total

    def _head(self, piece: memoryview, at: int) -> None:
        """Read the numbers that stand before the messages. A zero may be left out."""
        channel_id = after = 0
        if piece[at] == _CHANNEL_ID:
            channel_id, at = read_varint(piece, at + 1)
        if piece[at] == _AFTER:
            after, at = read_varint(piece, at + 1)
        if piece[at] != _THROUGH:
            raise MessageError("a batch whose range does not stand first")
        through, at = read_varint(piece, at + 1)
        self.batch(channel_id, after, through)

    @abstractmethod
    def batch(self, channel_id: int, after: int, through: int) -> None:
        """A batch begins; it covers `(after, through]` of the channel."""

    @abstractmethod
    def field(self, encoded: bytes) -> None:
        """Another field of a SubscribeResponse."""
