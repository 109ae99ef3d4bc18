"""The little of HTTP/2 (RFC 9113) and HPACK (RFC 7541) that a load client needs: bytes in, bytes and events out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0x0, 0x1, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9,
)  # fmt: skip

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

SETTINGS_ENABLE_PUSH = 0x2
SETTINGS_INITIAL_WINDOW_SIZE = 0x4
SETTINGS_MAX_FRAME_SIZE = 0x5

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
FRAME_HEADER = 9

_HEADER = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")

# The entries of HPACK's static table (RFC 7541, appendix A) that a gRPC request has a use for.
_STATIC = {(":method", "POST"): 3, (":scheme", "http"): 6}
_STATIC_NAMES = {":authority": 1, ":path": 4, "authorization": 23, "content-type": 31, "user-agent": 58}
_STATIC_ENTRIES = 61
_TABLE_BYTES = 4096
_ENTRY_OVERHEAD = 32

Header = tuple[str, str]


class ProtocolError(Exception):
    """The peer sent what this client does not speak."""


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame, header and payload."""
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    """The values of a SETTINGS frame's payload."""
    return dict(_SETTING.iter_unpack(payload))


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection. `increment` in bytes."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def header_fragment(flags: int, payload: bytes) -> bytes:
    """The header block's bytes in a HEADERS frame's payload: without padding and priority."""
    start, end = 0, len(payload)
    if flags & PADDED:
        start, end = 1, end - payload[0]
    if flags & PRIORITY:
        start += 5
    return payload[start:end]


class HeaderEncoder:
    """Encodes a connection's request headers as grpc's own clients do: what was sent once is an index from then on.

    Nothing is ever evicted: when the peer's table (4,096 bytes unless it says otherwise) is full, the rest goes as
    literals.
    """

    def __init__(self) -> None:
        self._entries: dict[Header, int] = {}
        self._bytes = 0

    def encode(self, headers: Sequence[Header]) -> bytes:
        """One header block."""
        return b"".join([self._field(header) for header in headers])

    def _field(self, header: Header) -> bytes:
        if header in _STATIC:
            return bytes([0x80 | _STATIC[header]])
        if header in self._entries:
            return _integer(0x80, 7, _STATIC_ENTRIES + len(self._entries) - self._entries[header])
        name, value = header
        size = len(name) + len(value) + _ENTRY_OVERHEAD
        indexed = self._bytes + size <= _TABLE_BYTES
        if indexed:
            self._bytes += size
            self._entries[header] = len(self._entries)
        form, bits = (0x40, 6) if indexed else (0x00, 4)
        known = _STATIC_NAMES.get(name)
        prefix = _integer(form, bits, known) if known else bytes([form]) + _string(name)
        return prefix + _string(value)


def _integer(form: int, bits: int, value: int) -> bytes:
    """An HPACK integer with a prefix of `bits` bits; `form` holds the bits before it."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([form | value])
    encoded = bytearray([form | limit])
    value -= limit
    while value >= 0x80:
        encoded.append(0x80 | value & 0x7F)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _string(text: str) -> bytes:
    raw = text.encode("ascii")
    return _integer(0x00, 7, len(raw)) + raw


class FrameReader:
    """Walks the frames in a stream of bytes.

    The payload of DATA frames is handed on in pieces as it comes, without a copy: `on_data(stream_id, piece)`. All
    other frames are short and are handed on whole: `on_frame(kind, flags, stream_id, payload)`; so is a DATA frame that
    ends its stream, with an empty payload, once its pieces are through.
    """

    def __init__(
        self, on_data: Callable[[int, memoryview], None], on_frame: Callable[[int, int, int, bytes], None]
    ) -> None:
        self._on_data = on_data
        self._on_frame = on_frame
        self._left = 0  # bytes of the DATA frame under way that are still to come
        self._stream_id = 0
        self._flags = 0
        self._rest = b""  # the beginning of a frame whose end is still to come

    def feed(self, data: memoryview) -> None:
        """Take what came; `data` is only good until this returns."""
        if self._rest:
            data = memoryview(self._rest + bytes(data))
            self._rest = b""
        at, end = 0, len(data)
        while True:
            if self._left:
                if at == end:
                    return
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._on_data(self._stream_id, piece)
                if not self._left and self._flags & END_STREAM:
                    self._on_frame(DATA, self._flags, self._stream_id, b"")
                continue
            if end - at < FRAME_HEADER:
                break
            high, low, kind, flags, stream_id = _HEADER.unpack_from(data, at)
            size = high << 8 | low
            if kind == DATA:
                if flags & PADDED:
                    raise ProtocolError("padded DATA")
                at += FRAME_HEADER
                self._left, self._stream_id, self._flags = size, stream_id, flags
                if not size and flags & END_STREAM:
                    self._on_frame(DATA, flags, stream_id, b"")
                continue
            if end - at < FRAME_HEADER + size:
                break
            at += FRAME_HEADER
            self._on_frame(kind, flags, stream_id, bytes(data[at : at + size]))
            at += size
        self._rest = bytes(data[at:])
