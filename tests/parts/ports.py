"""Ports of loopback at which something can be stopped, and started again where it was.

They are below those that the system hands out by itself (from 32768 on with Linux, from 49152 elsewhere), which anybody
may get at any moment.
"""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from functools import cache

from madang.rpc.classic.ports import places

_FIRST, _LAST = 10_000, 32_000
_BLOCK = 200


class _Block:
    """Ports that no other process of the tests takes: whoever has the block's first port with UDP has the block."""

    def __init__(self) -> None:
        self._first = _hold()
        self._given = 0

    def next(self, count: int) -> int:
        """The first of so many ports in a row. Those that were given last come again last."""
        assert 0 < count < _BLOCK, "a block has no more"
        for _ in range(2 * _BLOCK):
            if self._given + count >= _BLOCK:
                self._given = 0
            first = self._first + 1 + self._given
            if all(places("localhost", port) for port in range(first, first + count)):
                self._given += count
                return first
            self._given += 1
        raise RuntimeError(f"no {count} free ports in a row from {self._first + 1} on")


def free_ports(count: int) -> range:
    """Ports in a row that nobody listens on at localhost, and that no other process of the tests is given."""
    first = _block().next(count)
    return range(first, first + count)


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


@cache
def _block() -> _Block:
    return _Block()


def _hold() -> int:
    """Take a block until this process ends, however it ends; its first port."""
    blocks = range(_FIRST, _LAST, _BLOCK)
    for first in random.sample(blocks, len(blocks)):
        holder = socket.socket(type=socket.SOCK_DGRAM)
        with suppress(OSError):
            holder.bind(("127.0.0.1", first))
            holder.detach()
            return first
        holder.close()
    raise RuntimeError("every block of ports is in use")
