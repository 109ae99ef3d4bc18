"""What the calls of the contract come to: how many, how they ended, how long they took, and which streams are open."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from madang.core.counting import Histogram, Tally
from madang.core.errors import MadangError
from madang.rpc.status import code_of

Call = Callable[[Any, Any], Awaitable[Any]]


class CallCounts:
    """Of one node. Methods are named `Service/Method`."""

    def __init__(self) -> None:
        self.calls: Tally = Counter()
        """Calls that have ended, by method and status code."""
        self.refusals: Tally = Counter()
        """What was refused, by method and reason: calls, and messages of lists that were posted."""
        self.seconds: dict[str, Histogram] = {}
        """How long calls took that answer once, by method."""
        self.streams: Counter[str] = Counter()
        """Open streams, by method."""
        self._peers: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """How many connections have a stream open."""
        return len(self._peers)

    def counted(self, name: str, call: Call, *, streams: bool) -> Call:
        """The same call, counted."""
        return self._stream(name, call) if streams else self._unary(name, call)

    def refused(self, name: str, error: MadangError) -> None:
        """A call, or a part of one, was refused with this error."""
        self.refusals[name, error.reason] += 1

    def turned_away(self, name: str, error: MadangError) -> None:
        """A call was refused at its headers."""
        self.refused(name, error)
        self.calls[name, code_of(error)] += 1

    def _unary(self, name: str, call: Call) -> Call:
        seconds = self.seconds.setdefault(name, Histogram())

        async def counted(request: Any, context: Any) -> Any:
            began = time.perf_counter()
            try:
                answer = await call(request, context)
            except BaseException as error:
                self.calls[name, _ended_with(error, context)] += 1
                raise
            finally:
                seconds.observe(time.perf_counter() - began)
            self.calls[name, "OK"] += 1
            return answer

        return counted

    def _stream(self, name: str, call: Call) -> Call:
        async def counted(request: Any, context: Any) -> Any:
            peer = context.peer()
            self.streams[name] += 1
            self._peers[peer] += 1
            code = "OK"
            try:
                return await call(request, context)
            except BaseException as error:
                code = _ended_with(error, context)
                raise
            finally:
                self.calls[name, code] += 1
                self.streams[name] -= 1
                self._peers[peer] -= 1
                if not self._peers[peer]:
                    del self._peers[peer]

        return counted


def _ended_with(error: BaseException, context: Any) -> str:
    """The name of the status code with which a call ends that raises this."""
    if isinstance(error, asyncio.CancelledError):
        return "CANCELLED"
    if isinstance(error, grpc.aio.AbortError):
        code = context.code()
        return str(code.name) if isinstance(code, grpc.StatusCode) else _NAMES.get(code, "UNKNOWN")
    return "UNKNOWN"


_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
