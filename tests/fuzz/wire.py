"""Bytes on the port: what never was HTTP/2, what ceases to be it, and calls that are no gRPC."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

from faults import raw
from hypothesis import strategies as st

PATIENCE = 0.05
"""For how long an answer is read, seconds."""

_kinds = st.one_of(st.integers(0, 10), st.integers(0, 255))
_streams = st.sampled_from([0, 1, 2, 3, 5, 2**31 - 1])
_METHODS = (raw.SUBSCRIBE, raw.WATCH, raw.GET_SERVER, "/madang.v1.ChannelService/Post", "/nowhere", "x", "")

frames = st.builds(raw.frame, _kinds, st.integers(0, 255), _streams, st.binary(max_size=40))


def _lying(payload: bytes, length: int) -> bytes:
    """A frame that says another length than it has."""
    return struct.pack(">I", length)[1:] + b"\0\1\0\0\0\1" + payload


def _call(method: str, body: bytes, claimed: int, flag: int, token: str) -> bytes:
    """A gRPC call whose message says another length than it has, or that it is compressed."""
    block = raw.headers(method, token)
    prefix = bytes([flag]) + struct.pack(">I", claimed)
    return raw.frame(raw.HEADERS, raw.END_HEADERS, 1, block) + raw.frame(raw.DATA, raw.END_STREAM, 1, prefix + body)


calls = st.builds(
    _call,
    st.sampled_from(_METHODS),
    st.binary(max_size=40),
    st.one_of(st.integers(0, 40), st.sampled_from([2**32 - 1, 2**22 + 1])),
    st.sampled_from([0, 0, 1, 2, 255]),
    st.sampled_from(["", "x", "\x7f", "madang_" + "A" * 43]),
)
_parts = st.one_of(
    frames,
    calls,
    st.builds(_lying, st.binary(max_size=20), st.integers(0, 2**24 - 1)),
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda block: raw.frame(raw.HEADERS, 5, 1, block)),  # HPACK that is none
    st.just(raw.frame(raw.SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff")),
    st.just(raw.frame(6, 0, 0, b"\0" * 8) * 20),  # pings
    st.just(
        raw.frame(raw.HEADERS, 4, 1, raw.headers(raw.GET_SERVER, "x")) + raw.frame(raw.RST_STREAM, 0, 1, b"\0" * 4)
    ),
)
connection = st.one_of(
    st.binary(max_size=200),
    st.just(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    st.just(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),  # the beginning of TLS
    st.integers(0, len(raw.PREFACE)).map(lambda length: raw.PREFACE[:length]),
    st.lists(_parts, min_size=1, max_size=5).map(lambda parts: raw.greeting() + b"".join(parts)),
    st.lists(_parts, min_size=1, max_size=5).map(lambda parts: raw.greeting() + b"".join(parts)),
)
"""All that one connection sends."""


async def shout(port: int, sent: bytes) -> bytes:
    """Open a connection, send, read what comes for a moment, close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        writer.write(sent)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
                while piece := await reader.read(65536):
                    heard += piece
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return heard
