"""Bytes on a socket: connections that no gRPC library would make, and enough HTTP/2 for a call that never reads."""

from __future__ import annotations

import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 8, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
LARGEST_WINDOW = 2**31 - 1

SUBSCRIBE = "/madang.v1.ChannelService/Subscribe"
WATCH = "/madang.v1.HeartbeatService/WatchPresence"
GET_SERVER = "/madang.v1.AgentService/GetServer"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def greeting(window: int = 65535) -> bytes:
    """How an HTTP/2 client begins. `window`: how many bytes it says that it takes at once."""
    settings = frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))
    more = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", window - 65535)) if window > 65535 else b""
    return PREFACE + settings + more


def headers(method: str, token: str) -> bytes:
    """The header block of a gRPC call."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "authorization": f"Bearer {token}",
    }
    # Literal header fields without indexing, no Huffman coding (RFC 7541, 6.2.2); lengths below 127 take one byte.
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


def request(method: str, token: str, message: bytes) -> bytes:
    """A whole gRPC call on stream 1."""
    body = b"\0" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, END_HEADERS, 1, headers(method, token)) + frame(DATA, END_STREAM, 1, body)


def _text(value: str) -> bytes:
    raw = value.encode()
    assert len(raw) < 127
    return bytes((len(raw),)) + raw


@contextmanager
def connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many TCP connections, closed in the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_socket(port)) for _ in range(count)]


def open_socket(port: int, receive_buffer: int | None = None) -> socket.socket:
    """One TCP connection."""
    made = socket.socket()
    if receive_buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(20)
    try:
        made.connect(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        open_socket(port).close()
    except ConnectionRefusedError:
        return True
    return False


def is_open(made: socket.socket) -> bool:
    """Whether the other end has not closed the connection. What has come is thrown away."""
    made.setblocking(False)
    try:
        while made.recv(65536):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    return False


def reset(made: socket.socket) -> None:
    """Close with an RST: the other end learns it as an error."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()


@contextmanager
def many_files() -> Iterator[int]:
    """As many descriptors for this process as the system allows; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
