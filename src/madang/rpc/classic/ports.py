"""The pool of ports that channels get their addresses from."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable

from madang.rpc.classic.addresses import Place

LOOPBACK = ("127.0.0.1", "::1")
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What the system says of an address family that this machine does not have."""


class Ports:
    """A range of ports, both ends in it.

    The one that has rested longest comes first: whoever still calls a closed channel's address should not soon find
    another channel there.
    """

    def __init__(self, first: int, last: int) -> None:
        self._free = deque(range(first, last + 1))

    def take(self, usable: Callable[[int], bool]) -> int | None:
        """The first free port that is usable; None when there is none. Others are tried again at another time."""
        for _ in range(len(self._free)):
            port = self._free.popleft()
            if usable(port):
                return port
            self._free.append(port)
        return None

    def give_back(self, port: int) -> None:
        """The port is free again."""
        self._free.append(port)


def places(host: str, port: int) -> list[Place]:
    """Where to listen for this host and port; empty when another program has the port.

    `localhost` is both of its addresses, each bound by itself: gRPC is content with one of the two, and whoever then
    calls the other one reaches the other program. Trying first also spares gRPC's own complaint in the log.
    """
    if host != "localhost":
        return [Place(host, port)] if _bindable(host, port) else []
    answers = {each: _bindable(each, port) for each in LOOPBACK}
    if False in answers.values():
        return []
    return [Place(each, port) for each, answer in answers.items() if answer]


def _bindable(host: str, port: int) -> bool | None:
    """Whether the address can be listened on; None when this machine does not have it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As gRPC does it: connections that were closed a moment ago are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return None if error.errno in _ABSENT else False
    return True
