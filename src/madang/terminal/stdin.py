"""Standard input as it comes, without a thread and without blocking the loop.

Pipes, sockets and terminals are waited for; a plain file is always ready, and is read as it is asked for. Nothing is
read ahead further than one chunk, so that a writer is as fast as what is done with its lines.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from madang.core.errors import TextNotAllowed

_CHUNK = 65_536
_LONGEST_LINE = 1 << 20


async def chunks(fd: int) -> AsyncIterator[bytes]:
    """What comes from a file descriptor, until its end."""
    while True:
        await _readable(fd)
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            return
        yield chunk


async def raw_lines(fd: int) -> AsyncIterator[bytes]:
    """The lines that come from a file descriptor, without their line ends; the last may lack one."""
    rest = b""
    async for chunk in chunks(fd):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
        if len(rest) > _LONGEST_LINE:
            raise TextNotAllowed(problem="is longer than a megabyte")
    if rest:
        yield rest


async def beginning(fd: int, at_most: int) -> bytes:
    """All that comes from a file descriptor, but no more than `at_most` bytes of it."""
    read = bytearray()
    async for chunk in chunks(fd):
        read += chunk
        if len(read) >= at_most:
            break
    return bytes(read[:at_most])


def decode(raw: bytes) -> str:
    """Bytes as text; raises TextNotAllowed where they are not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise TextNotAllowed(problem="is not UTF-8") from None


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(fd, _set, ready)
    except PermissionError:  # epoll takes no plain files: they never make one wait
        return
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
