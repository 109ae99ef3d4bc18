"""One HTTP/2 connection to the server, and the gRPC calls on it, for a small part of grpcio's cost.

Responses' header blocks are kept, not decoded: only when a call ends without an answer does anyone look at its status.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, cast

from benchmarks import http2
from benchmarks.messages import MessageReader, prefixed

WINDOW = 16 * 1024 * 1024
FRAME = 1024 * 1024
PATIENCE = 30.0
"""Seconds that a connection or a unary call may take."""

_CANCEL = (8).to_bytes(4, "big")  # an HTTP/2 error code
_UNAVAILABLE = 14  # a gRPC status

# Every connection reads into the same bytes: what came is taken before the loop reads again, and stays in the cache.
_BUFFER = memoryview(bytearray(256 * 1024))


class CallError(Exception):
    """A call failed."""

    def __init__(self, path: str, status: int, message: str) -> None:
        super().__init__(path, status, message)
        self.path = path
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}: gRPC status {self.status}: {self.message}"


class Reader(Protocol):
    """What takes the bytes that a call receives."""

    def feed(self, piece: memoryview) -> None:
        """Take a piece of DATA; it is only good until this returns."""


class Call:
    """One call under way. `ended` is done when the server has ended it, and holds a CallError where it failed."""

    def __init__(self, connection: Connection, stream_id: int, path: str, reader: Reader, window: int) -> None:
        self.path = path
        self.reader = reader
        self.stream_id = stream_id
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_drained: Callable[[], None] | None = None
        self.answered = False
        self.window = window  # bytes that the server takes on this stream
        self.unreported = 0  # bytes taken here that the server was not told of
        self._connection = connection
        self._queue: deque[tuple[bytes, bool]] = deque()

    @property
    def writing(self) -> bool:
        """Whether an earlier write is still in flight: waiting for the server's window or for the socket."""
        return bool(self._queue)

    def write(self, message: bytes, *, last: bool = False) -> None:
        """Send a message; `last` ends this side of the call."""
        self._queue.append((prefixed(message), last))
        if len(self._queue) == 1:
            self.flush()

    def cancel(self) -> None:
        """End the call from this side."""
        if not self.ended.done():
            self._connection.cancel(self)

    def fail(self, status: int, message: str) -> None:
        """The call has failed; whoever looks at `ended` learns of it."""
        self.ended.set_exception(CallError(self.path, status, message))
        self.ended.exception()  # so that nobody is told of it when nobody looks

    def flush(self) -> None:
        """Send as much of what waits as the windows allow."""
        while self._queue:
            data, last = self._queue[0]
            room = min(self.window, self._connection.room)
            if room <= 0:
                return
            if len(data) > room:
                self._queue[0] = (data[room:], last)
                data, last = data[:room], False
            else:
                self._queue.popleft()
            self.window -= len(data)
            self._connection.data(self.stream_id, data, last)
        if self.on_drained is not None:
            self.on_drained()


class Connection(asyncio.BufferedProtocol):
    """An HTTP/2 connection. `await Connection.open(host, port)`, then `unary` and `call`."""

    def __init__(self) -> None:
        self._frames = http2.FrameReader(self._on_data, self._on_frame)
        self._encoder = http2.HeaderEncoder()
        self._blocks: list[bytes] = []
        self._calls: dict[int, Call] = {}
        self._next_stream = 1
        self._window = http2.DEFAULT_WINDOW
        self._stream_window = http2.DEFAULT_WINDOW
        self._frame_limit = http2.DEFAULT_FRAME
        self._unreported = 0
        self._paused = False
        self._authority = ""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect. Raises OSError or TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        connection._authority = f"{host}:{port}"
        return connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._transport is None

    @property
    def room(self) -> int:
        """Bytes that one DATA frame may have now."""
        return 0 if self._paused else min(self._window, self._frame_limit)

    async def unary(self, path: str, request: bytes, token: str = "") -> bytes:
        """Call a unary method; gives the response's bytes. Raises CallError or TimeoutError."""
        reader = _Answer()
        call = self.call(path, reader, token)
        call.write(request, last=True)
        async with asyncio.timeout(PATIENCE):
            await call.ended
        return reader.answer

    def call(self, path: str, reader: Reader, token: str = "") -> Call:
        """Begin a call of the method at `path`; what it receives goes to `reader`."""
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "madang-benchmarks"),
        ]
        if token:
            headers.append(("authorization", f"Bearer {token}"))
        stream_id = self._next_stream
        self._next_stream += 2
        call = Call(self, stream_id, path, reader, self._stream_window)
        self._calls[stream_id] = call
        block = self._encoder.encode(headers)
        self._write(http2.frame(http2.HEADERS, http2.END_HEADERS, stream_id, block))
        return call

    def data(self, stream_id: int, data: bytes, last: bool) -> None:
        """Send a DATA frame; `data` is within `room`."""
        self._window -= len(data)
        self._write(http2.frame(http2.DATA, http2.END_STREAM if last else 0, stream_id, data))

    def cancel(self, call: Call) -> None:
        """Reset a call's stream."""
        self._calls.pop(call.stream_id, None)
        call.ended.cancel()
        self._write(http2.frame(http2.RST_STREAM, 0, call.stream_id, _CANCEL))

    def close(self) -> None:
        """Close the connection; the calls on it are cancelled."""
        for call in self._calls.values():
            call.ended.cancel()
        self._calls.clear()
        if self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise ConnectionResetError("the connection is closed")
        self._transport.write(data)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not say so
        settings = {
            http2.SETTINGS_ENABLE_PUSH: 0,
            http2.SETTINGS_INITIAL_WINDOW_SIZE: WINDOW,
            http2.SETTINGS_MAX_FRAME_SIZE: FRAME,
        }
        update = http2.window_update(0, WINDOW - http2.DEFAULT_WINDOW)
        self._write(http2.PREFACE + http2.settings(settings) + update)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop may write what comes."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` came."""
        self._frames.feed(_BUFFER[:nbytes])

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """End every call."""
        self._transport = None
        for stream_id in list(self._calls):
            self._fail(stream_id, f"the connection was lost: {error or 'closed'}")

    # What the frames say.

    def _on_data(self, stream_id: int, piece: memoryview) -> None:
        size = len(piece)
        self._unreported += size
        if self._unreported > WINDOW // 2:
            self._write(http2.window_update(0, self._unreported))
            self._unreported = 0
        call = self._calls.get(stream_id)
        if call is None:
            return
        call.unreported += size
        if call.unreported > WINDOW // 2:
            self._write(http2.window_update(stream_id, call.unreported))
            call.unreported = 0
        call.answered = True
        call.reader.feed(piece)

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == http2.HEADERS:
            if not flags & http2.END_HEADERS:
                raise http2.ProtocolError("a header block in several frames")
            self._blocks.append(http2.header_fragment(flags, payload))
            if flags & http2.END_STREAM:
                self._end(stream_id)
        elif kind == http2.SETTINGS:
            if not flags & http2.ACK:
                # The acknowledgement comes before whatever the new windows let out: grpc resets the stream otherwise.
                self._write(http2.frame(http2.SETTINGS, http2.ACK, 0))
                self._settings(http2.read_settings(payload))
        elif kind == http2.PING:
            if not flags & http2.ACK:
                self._write(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind == http2.WINDOW_UPDATE:
            self._window_update(stream_id, int.from_bytes(payload, "big"))
        elif kind == http2.DATA:
            self._end(stream_id)
        elif kind == http2.RST_STREAM:
            self._fail(stream_id, f"the stream was reset, HTTP/2 error {int.from_bytes(payload, 'big')}")
        elif kind == http2.GOAWAY:
            for waiting in list(self._calls):
                self._fail(waiting, f"the server says goodbye: {payload[8:].decode(errors='replace')}")

    def _settings(self, values: dict[int, int]) -> None:
        window = values.get(http2.SETTINGS_INITIAL_WINDOW_SIZE, self._stream_window)
        for call in self._calls.values():
            call.window += window - self._stream_window
        self._stream_window = window
        self._frame_limit = values.get(http2.SETTINGS_MAX_FRAME_SIZE, self._frame_limit)
        self._flush()

    def _window_update(self, stream_id: int, increment: int) -> None:
        if stream_id == 0:
            self._window += increment
            self._flush()
        elif stream_id in self._calls:
            call = self._calls[stream_id]
            call.window += increment
            if call.writing:
                call.flush()

    def _flush(self) -> None:
        for call in list(self._calls.values()):
            if call.writing:
                call.flush()

    def _end(self, stream_id: int) -> None:
        """The server ended the stream with trailers. Their status is read where there was no answer, or many."""
        call = self._calls.pop(stream_id, None)
        if call is None or call.ended.done():
            return
        if call.answered and isinstance(call.reader, _Answer):
            call.ended.set_result(None)
            return
        status, message = self._status()
        if status == 0:
            call.ended.set_result(None)
        else:
            call.fail(status, message)

    def _fail(self, stream_id: int, message: str) -> None:
        call = self._calls.pop(stream_id, None)
        if call is not None and not call.ended.done():
            call.fail(_UNAVAILABLE, message)

    def _status(self) -> tuple[int, str]:
        """The gRPC status in the newest header block. Decodes all blocks so far, as HPACK wants."""
        try:
            from hpack import Decoder
        except ImportError:
            return 2, "unknown; install hpack to see the status"
        decoder = Decoder()
        headers: dict[str, str] = {}
        for block in self._blocks:
            headers = {str(name): str(value) for name, value in decoder.decode(block)}
        return int(headers.get("grpc-status", "2")), headers.get("grpc-message", "")


class _Answer(MessageReader):
    """Keeps a unary call's one message."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = b""

    def message(self, message: bytes) -> None:
        self.answer = message
