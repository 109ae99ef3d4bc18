"""The event loop of a server: uvloop, with one burst of gRPC's completions handled as one event.

gRPC's poller thread tells the loop of each completed operation with one byte over a socket pair, after it has put the
operation into a queue; the handler in the loop reads one byte and handles the whole queue. After a crowd of a hundred
was written to, the loop would wake a hundred times, ninety-nine of them for nothing. So before the handler runs, all
bytes but one are taken from the socket: every byte that is there belongs to an operation that is in the queue already,
so none is missed. It saves a poll, a read and a turn of the loop for each write to a stream (docs/decisions/0005).
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Any

import uvloop

_BURST = 65536
_HANDLER = "PollerCompletionQueue"


class Loop(uvloop.Loop):
    """uvloop's loop, but for the reader that gRPC adds to it."""

    def add_reader(  # type: ignore[override]  # the same, with plainer types
        self, fd: Any, callback: Callable[..., Any], *args: Any
    ) -> None:
        """See asyncio. A gRPC that does this in another way is left alone, and merely less quick."""
        if isinstance(fd, socket.socket) and _is_completion_handler(callback):
            callback, args = functools.partial(_handle_burst, fd, callback, args), ()
        super().add_reader(fd, callback, *args)


def _is_completion_handler(callback: object) -> bool:
    function = callback.func if isinstance(callback, functools.partial) else callback
    return type(getattr(function, "__self__", None)).__name__ == _HANDLER


def _handle_burst(completions: socket.socket, handle: Callable[..., Any], args: tuple[Any, ...]) -> None:
    waiting = len(completions.recv(_BURST, socket.MSG_PEEK))
    if waiting > 1:
        completions.recv(waiting - 1)
    handle(*args)
